"""From uploaded photographs to animals with suggestions, ready for review."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TypedDict

import numpy as np
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Max, QuerySet
from django.urls import reverse

from finwave.home import home
from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from finwave.jobs.running import JobRun
from finwave.jobs.services import start_job
from populations.exceptions import PhotoRefused
from populations.models import (
    Annotation,
    DetectionRun,
    Encounter,
    Photo,
    Population,
    Sighting,
)
from populations.services.demo import DemoEncounter, list_demo_encounters
from populations.services.detection import detect_photos
from populations.services.detectors import default_for
from populations.services.photos import add_photo
from snapshots.models import Deployment, Onboarding, OnboardingFile
from snapshots.queries.deployments import active_deployment
from snapshots.services.gallery import (
    begin_phase,
    embed,
    ensure_gallery,
    say_phase,
    vectors_of,
)
from snapshots.services.suggestions import suggest

logger = logging.getLogger(__name__)


class EncounterDetails(TypedDict):
    name: str
    date_on: date | None
    place: str
    photographer: str
    is_already_cropped: bool


def upload_encounter(
    *,
    population: Population,
    user: User,
    details: EncounterDetails,
    files: Sequence[UploadedFile],
    rendered: str = "",
) -> Encounter:
    """Write an encounter, put its photographs aside and start their identification.

    Killed before the start, the encounter is there and can be started by hand.
    """
    demo = next(
        (one for one in rendered_encounters(population) if one.name == rendered), None
    )
    if demo:
        details = {**details, "date_on": details["date_on"] or demo.date_on}
    onboarding = create_encounter(population=population, user=user, details=details)
    if demo:
        stage_copies(onboarding=onboarding, paths=demo.photos)
    stage_uploads(onboarding=onboarding, files=files)
    onboard_encounter(encounter=onboarding.encounter, user=user)
    return onboarding.encounter


def create_encounter(
    *, population: Population, user: User, details: EncounterDetails
) -> Onboarding:
    """Write the rows of an encounter that waits for its photographs."""
    with transaction.atomic():
        encounter = Encounter.objects.create(
            population=population,
            name=details["name"],
            date_on=details["date_on"],
            place=details["place"],
            photographer=details["photographer"],
            origin=Encounter.Origin.ONBOARDED,
        )
        return Onboarding.objects.create(
            encounter=encounter,
            is_already_cropped=details["is_already_cropped"],
            created_by=user,
        )


def rendered_encounters(population: Population) -> list[DemoEncounter]:
    """Return the encounters that a demo population keeps back to try this out."""
    if not population.is_demo:
        return []
    used = set(
        Encounter.objects.filter(
            population=population, origin=Encounter.Origin.ONBOARDED
        ).values_list("name", flat=True)
    )
    return [one for one in list_demo_encounters(population) if one.name not in used]


def staging_folder(encounter_id: int) -> Path:
    return home() / "staging" / f"encounter-{encounter_id}"


def stage_uploads(*, onboarding: Onboarding, files: Iterable[UploadedFile]) -> int:
    """Put uploaded files where the job finds them; return how many."""
    folder = staging_folder(onboarding.encounter_id)
    folder.mkdir(parents=True, exist_ok=True)
    n_before = onboarding.files.count()
    rows = []
    for number, file in enumerate(files, start=n_before + 1):
        path = _staged_name(number, file.name or "photo")
        with (folder / path).open("wb") as target:
            for chunk in file.chunks():
                target.write(chunk)
        rows.append(_file_row(onboarding, path, file.name or path))
    OnboardingFile.objects.bulk_create(rows)
    return len(rows)


def stage_copies(*, onboarding: Onboarding, paths: Sequence[Path]) -> int:
    """Copy files of this machine to where the job finds them; return how many."""
    folder = staging_folder(onboarding.encounter_id)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, source in enumerate(paths, start=onboarding.files.count() + 1):
        path = _staged_name(number, source.name)
        shutil.copyfile(source, folder / path)
        rows.append(_file_row(onboarding, path, source.name))
    OnboardingFile.objects.bulk_create(rows)
    return len(rows)


def onboard_encounter(*, encounter: Encounter, user: User | None) -> Job:
    """Start identification of an encounter, or return the job that is under way.

    Doing it again is safe: photos, animals and answers that are there stay, and
    animals that wait are compared with the gallery of today.
    """
    with transaction.atomic():
        onboarding, _ = Onboarding.objects.select_for_update().get_or_create(
            encounter=encounter, defaults={"created_by": user}
        )
        if onboarding.job and not onboarding.job.is_finished:
            return onboarding.job
        onboarding.job = start_job(
            kind="snapshots.onboarding",
            scope_id=encounter.population_id,
            subject_id=encounter.pk,
            title=f"Identify {encounter}"[:200],
            user=user,
        )
        onboarding.save(update_fields=["job"])
    return onboarding.job


def onboard(run: JobRun, onboarding: Onboarding) -> None:
    """Do an onboarding's job: each step skips what is done, so it may be repeated."""
    encounter = onboarding.encounter
    _add_photos(run, onboarding)
    if run.should_stop():
        return
    _detect(run, onboarding)
    if run.should_stop():
        return
    deployment = active_deployment(encounter.population_id)
    identify(run, onboarding, deployment)
    # A model deployed meanwhile found this job at work, and relies on it.
    while deployment != (now := active_deployment(encounter.population_id)):
        deployment = now
        identify(run, onboarding, deployment)
    if not run.should_stop():
        shutil.rmtree(staging_folder(encounter.pk), ignore_errors=True)


def identify(
    run: JobRun, onboarding: Onboarding, deployment: Deployment | None
) -> None:
    """Gather the encounter's crops by animal, and suggest who each of them is."""
    encounter = onboarding.encounter
    if deployment:
        ensure_gallery(deployment, run)
        embed(deployment, crops_of(encounter), run=run)
        if run.should_stop():
            return
    say_phase(run, "Gathering crops by animal")
    group(onboarding, deployment)
    if deployment:
        say_phase(run, "Comparing with the gallery")
        suggest(deployment, waiting_sightings(encounter))
    else:
        run.log("No model is deployed: the animals wait to be named by hand.")


def crops_of(encounter: Encounter) -> QuerySet[Annotation]:
    return Annotation.objects.kept().filter(photo__encounter=encounter).cut_out()


def waiting_sightings(encounter: Encounter) -> QuerySet[Sighting]:
    return encounter.sightings.filter(
        status__in=(Sighting.Status.WAITING, Sighting.Status.SKIPPED)
    )


def group(onboarding: Onboarding, deployment: Deployment | None) -> None:
    """Make a sighting of every animal whose crops are in none yet.

    With a deployed model crops that look alike become one animal; without, each crop
    is one. Animals made without a model that nobody has answered are made anew once
    there is one. One transaction: a repetition finds everything done, or nothing.
    """
    encounter = onboarding.encounter
    with transaction.atomic():
        Onboarding.objects.select_for_update().get(pk=onboarding.pk)
        if deployment and not onboarding.is_grouped:
            # Annotations fall back to no sighting; suggestions go along.
            encounter.sightings.filter(
                status=Sighting.Status.WAITING, identifications__isnull=True
            ).delete()
        # In the order of the photos; detection writes crops as its threads finish.
        crops = crops_of(encounter).filter(sighting=None)
        loose = list(crops.order_by("photo_id", "x1", "pk"))
        groups = _grouped(loose, deployment)
        _create_sightings(encounter, groups)
        onboarding.is_grouped = deployment is not None
        onboarding.save(update_fields=["is_grouped"])


def job_page(job: Job) -> str:
    encounter = (
        Encounter.objects.select_related("population").filter(pk=job.subject_id).first()
    )
    if encounter is None:
        return reverse("populations:population-list")
    return reverse(
        "snapshots:encounter-review", args=[encounter.population.slug, encounter.pk]
    )


def _staged_name(number: int, name: str) -> str:
    suffix = re.sub(r"[^a-z0-9.]", "", Path(name).suffix.lower())[:10]
    return f"{number:05d}{suffix}"


def _file_row(onboarding: Onboarding, path: str, name: str) -> OnboardingFile:
    return OnboardingFile(onboarding=onboarding, path=path, name=name[-400:])


def _add_photos(run: JobRun, onboarding: Onboarding) -> None:
    waiting = list(onboarding.files.filter(outcome=OnboardingFile.Outcome.WAITING))
    if not waiting:
        return
    begin_phase(run, n_total=len(waiting), phase="Adding photographs")
    n_refused = 0
    for n_done, file in enumerate(waiting, start=1):
        if run.should_stop():
            return
        _add_photo(onboarding, file)
        if file.outcome == OnboardingFile.Outcome.REFUSED:
            n_refused += 1
            run.log(f"{file.name}: {file.reason}", "warning")
        run.progress(n_done, n_failed=n_refused, force=n_done == len(waiting))


def _add_photo(onboarding: Onboarding, file: OnboardingFile) -> None:
    encounter = onboarding.encounter
    path = staging_folder(encounter.pk) / file.path
    try:
        if not path.is_file():
            raise PhotoRefused("The upload did not arrive whole. Upload it again.")
        photo, _ = add_photo(
            population=encounter.population,
            path=path,
            name=file.name,
            encounter=encounter,
        )
    except PhotoRefused as error:
        file.outcome = OnboardingFile.Outcome.REFUSED
        file.reason = str(error)[:500]
    else:
        file.photo = photo
        file.reason = _why_duplicate(onboarding, photo)[:500]
        file.outcome = (
            OnboardingFile.Outcome.DUPLICATE
            if file.reason
            else OnboardingFile.Outcome.ADDED
        )
    file.save(update_fields=["outcome", "reason", "photo"])
    path.unlink(missing_ok=True)


def _why_duplicate(onboarding: Onboarding, photo: Photo) -> str:
    """Say where a photo is already; after a kill, one that is here is simply ours."""
    if photo.encounter_id != onboarding.encounter_id:
        return f"The same photograph is in {photo.encounter} already."
    twin = onboarding.files.filter(photo=photo).first()
    return f"The same photograph as {twin.name}." if twin else ""


def _detect(run: JobRun, onboarding: Onboarding) -> None:
    detection_run = _detection_run_for(onboarding)
    if detection_run is None:
        return
    n_total = len(detection_run.photo_ids)
    begin_phase(run, n_total=n_total, phase="Finding animals")
    detect_photos(run, detection_run)


def _detection_run_for(onboarding: Onboarding) -> DetectionRun | None:
    """Return the run to go on with, a new one for photos no run knows, or None."""
    encounter = onboarding.encounter
    population = encounter.population
    photos = Photo.objects.filter(encounter=encounter)
    before = onboarding.detection_run
    known = set(before.photo_ids) if before else set()
    is_underway = photos.filter(pk__in=known).exclude(detection_run=before).exists()
    if before and is_underway:
        return before
    new = list(photos.exclude(pk__in=known).order_by("pk").values_list("pk", flat=True))
    if not new:
        return None
    detector = None if onboarding.is_already_cropped else default_for(population)
    if not onboarding.is_already_cropped and detector is None:
        raise JobError(
            "The population has no default detector. Choose one in its settings, "
            "then start the identification again."
        )
    with transaction.atomic():
        onboarding.detection_run = DetectionRun.objects.create(
            population=population,
            detector=detector,
            is_already_cropped=onboarding.is_already_cropped,
            confidence=population.detector_confidence,
            nms_iou=population.nms_iou,
            photo_ids=new,
            created_by=onboarding.created_by,
        )
        onboarding.save(update_fields=["detection_run"])
    return onboarding.detection_run


def _grouped(
    annotations: Sequence[Annotation], deployment: Deployment | None
) -> list[list[int]]:
    """Return the crops' ids by animal, in the order in which they appear."""
    ids = [annotation.pk for annotation in annotations]
    if deployment is None or not ids:
        return [[pk] for pk in ids]
    from finwave.ml.calibration import Calibration  # noqa: PLC0415 -- slow import
    from finwave.ml.gallery import (  # noqa: PLC0415 -- slow import
        DEFAULT_GROUP_THRESHOLD,
        group_sightings,
    )

    vectors = vectors_of(deployment, Annotation.objects.filter(pk__in=ids))
    calibration = Calibration.from_json(deployment.calibration)
    threshold = calibration.group_threshold if calibration else DEFAULT_GROUP_THRESHOLD
    groups: list[list[int]] = []
    if len(vectors):
        labels = group_sightings(vectors.embeddings, vectors.photo_ids, threshold)
        order = np.asarray(vectors.annotation_ids)
        groups = [order[labels == n].tolist() for n in range(int(labels.max()) + 1)]
    known = set(vectors.annotation_ids)
    groups += [[pk] for pk in ids if pk not in known]
    place = {pk: n for n, pk in enumerate(ids)}
    return sorted(groups, key=lambda members: min(place[pk] for pk in members))


def _create_sightings(encounter: Encounter, groups: Sequence[Sequence[int]]) -> None:
    highest = encounter.sightings.aggregate(n=Max("number"))["n"] or 0
    for number, ids in enumerate(groups, start=highest + 1):
        sighting = Sighting.objects.create(encounter=encounter, number=number)
        Annotation.objects.filter(pk__in=ids).update(sighting=sighting)
