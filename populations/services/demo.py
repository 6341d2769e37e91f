"""The demo population: rendered photographs that go through the real import.

Nothing of it is special after that: detection, tiers, training and review are the same
as for photographs from the sea.
"""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from finwave import home
from finwave.jobs import services as jobs
from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from populations.exceptions import ImportRefused
from populations.models import Detector, ImportBatch, Membership, Population
from populations.services import crops, detectors, imports, people, sources

if TYPE_CHECKING:
    from finwave.jobs.running import JobRun
    from finwave.ml.rendering.survey import PlannedPhoto, Survey

logger = logging.getLogger(__name__)

NAME = "Demo: rendered dolphins"
KIND = "populations.demo"
SEED = 1
CODE_PATTERN = r"RD-\d{2,}"


@dataclass(frozen=True, slots=True)
class DemoEncounter:
    """Rendered photos of an encounter that is not in the catalogue yet."""

    name: str
    date_on: date
    folder: Path
    photos: tuple[Path, ...]

    @property
    def n_photos(self) -> int:
        return len(self.photos)


def create_demo_population(user: User) -> Population:
    """Make the demo population and start rendering it; open it if it exists.

    Another person than its maker joins it as a trainer.
    """
    existing = Population.objects.filter(is_demo=True).first()
    if existing is None:
        try:
            return make_population(user)
        except IntegrityError:
            # Somebody else pressed the button at the same moment.
            existing = Population.objects.get(name=NAME)
    Membership.objects.get_or_create(
        population=existing, user=user, defaults={"role": Membership.Role.TRAINER}
    )
    if is_unfinished(existing):
        start_rendering(existing, user)
    return existing


def make_population(user: User) -> Population:
    with transaction.atomic():
        population = people.create_population(
            population=Population(
                name=NAME,
                species_common="Bottlenose dolphin (rendered)",
                species_latin="Tursiops truncatus",
                region="Rendered sea",
                code_pattern=CODE_PATTERN,
                is_demo=True,
                default_detector=bundled_detector(),
            ),
            user=user,
        )
        start_rendering(population, user)
    return population


def bundled_detector() -> Detector | None:
    bundled = Detector.objects.filter(population=None, status=Detector.Status.READY)
    return bundled.order_by("-pk").first()


def is_unfinished(population: Population) -> bool:
    """Tell whether rendering was stopped or failed before the import began."""
    at_work = Job.objects.unfinished().filter(kind=KIND, scope_id=population.pk)
    return not at_work.exists() and not is_imported(population)


def is_imported(population: Population) -> bool:
    return population.import_batches.filter(status=ImportBatch.Status.STARTED).exists()


def start_rendering(population: Population, user: User) -> Job:
    return jobs.start_job(
        kind=KIND,
        scope_id=population.pk,
        subject_id=population.pk,
        title="Rendering the demo",
        user=user,
        unit="photos",
    )


def build_demo(run: JobRun, population: Population) -> None:
    """Render what is missing, then hand all of it to an import. For workers.

    The files are the cursor: a photo is there, complete, or it is rendered again, to
    the same bytes.
    """
    from finwave.ml.rendering.survey import (  # noqa: PLC0415 -- slow import
        plan_survey,
    )

    survey = plan_survey(seed=SEED)
    use_bundled_detector(population)
    render_missing(run, population, survey)
    if run.should_stop() or is_imported(population):
        return
    run.log("All photographs are rendered; their import begins.")
    import_rendered(population, survey, Job.objects.get(pk=run.job_id).created_by)


def use_bundled_detector(population: Population) -> None:
    bundled = detectors.ensure_bundled()
    if bundled and population.default_detector_id is None:
        Population.objects.filter(pk=population.pk).update(default_detector=bundled)


def render_missing(run: JobRun, population: Population, survey: Survey) -> None:
    wanted: list[tuple[Path, PlannedPhoto]] = [
        (encounters_folder(population) / photo.path, photo) for photo in survey.new
    ]
    if not is_imported(population):
        files = rendered_folder(population)
        wanted += [(files / photo.path, photo) for photo in survey.labelled]
    run.begin(n_total=len(wanted), phase="Rendering photographs")
    for n, (path, photo) in enumerate(wanted, start=1):
        if run.should_stop():
            return
        if not path.is_file():
            write_photo(path, photo)
        run.progress(n)
    write_truth(population, survey)


def write_photo(path: Path, photo: PlannedPhoto) -> None:
    from finwave.ml.rendering.survey import (  # noqa: PLC0415 -- slow import
        render_photo,
    )

    path.parent.mkdir(parents=True, exist_ok=True)
    crops.write_atomically(path, render_photo(photo, survey_seed=SEED))


def write_truth(population: Population, survey: Survey) -> None:
    """Keep who is really in the new encounters beside them, to check suggestions by."""
    rows = [(photo.path, ";".join(photo.animals)) for photo in survey.new]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(("filename", "individual"))
    writer.writerows(rows)
    path = encounters_folder(population) / "truth.csv"
    crops.write_atomically(path, buffer.getvalue().encode())


def import_rendered(population: Population, survey: Survey, user: User | None) -> None:
    """Stage the rendered photos with their labels and start the import.

    Raises:
        JobError: with the sentence of a refused import.
    """
    batch = population.import_batches.order_by("pk").first()
    if batch is None:
        batch = ImportBatch.objects.create(
            population=population,
            created_by=user,
            source=ImportBatch.Source.FOLDER,
            labels=ImportBatch.Labels.CSV,
        )
    staged = sources.staged_files(batch)
    if rendered_folder(population).is_dir() and not staged.exists():
        staged.parent.mkdir(parents=True, exist_ok=True)
        rendered_folder(population).rename(staged)
    crops.write_atomically(sources.staged_table(batch), labels_csv(survey))
    ImportBatch.objects.filter(pk=batch.pk).update(csv_name="labels.csv")
    batch.refresh_from_db()
    maker = user or population.memberships.latest("role").user
    try:
        imports.prepare_preview(batch=batch)
        imports.start_import(batch=batch, user=maker)
    except ImportRefused as error:
        if not is_imported(population):
            raise JobError(str(error)) from error


def labels_csv(survey: Survey) -> bytes:
    from finwave.ml.rendering.survey import label_rows  # noqa: PLC0415 -- slow import

    rows = label_rows(survey.labelled)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def rendered_folder(population: Population) -> Path:
    """Return where labelled photos lie: in the import's staging once it exists."""
    batch = population.import_batches.order_by("pk").first()
    if batch is not None and sources.staged_files(batch).is_dir():
        return sources.staged_files(batch)
    return home.population_folder(population.pk) / "demo-rendered"


def encounters_folder(population: Population) -> Path:
    return home.population_folder(population.pk) / "demo-encounters"


def list_demo_encounters(population: Population) -> list[DemoEncounter]:
    """Return the rendered encounters that wait to be uploaded, oldest first."""
    folder = encounters_folder(population)
    if not population.is_demo or not folder.is_dir():
        return []
    return [
        DemoEncounter(
            name=path.name,
            date_on=date.fromisoformat(path.name),
            folder=path,
            photos=tuple(sorted(path.glob("*.jpg"))),
        )
        for path in sorted(folder.iterdir())
        if path.is_dir()
    ]
