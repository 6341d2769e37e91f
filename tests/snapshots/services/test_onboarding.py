from __future__ import annotations

import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from populations.models import Annotation, Encounter, Individual, Photo, Sighting
from snapshots.models import Deployment, OnboardingFile, Suggestion
from snapshots.services import gallery, onboarding
from tests.factories.accounts import UserFactory
from tests.factories.populations import EncounterFactory, IndividualFactory
from tests.populations.pictures import add_photo
from tests.snapshots.conftest import CALIBRATION, LEFT, PLAIN, RIGHT, STRIPED, picture

pytestmark = pytest.mark.django_db


def upload(name: str, *animals, seed=0) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    picture(*animals, seed=seed).save(buffer, "PNG")
    return SimpleUploadedFile(name, buffer.getvalue(), "image/png")


def start(population, *files, is_already_cropped=False) -> Encounter:
    encounter = onboarding.upload_encounter(
        population=population,
        user=UserFactory(),
        details={
            "name": "2026-11-20 morning",
            "date_on": None,
            "place": "Bay",
            "photographer": "",
            "is_already_cropped": is_already_cropped,
        },
        files=files,
    )
    return Encounter.objects.get(pk=encounter.pk)


def work(encounter) -> Job:
    encounter.onboarding.refresh_from_db()
    job = encounter.onboarding.job
    run_job(job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture
def deployed(population, real_snapshot, detector, start_deployment) -> Deployment:
    """A deployment that knows a plain animal, P1, and a striped one, S1."""
    known = EncounterFactory(population=population, name="known")
    for number, (code, ink) in enumerate((("P1", PLAIN), ("S1", STRIPED))):
        individual = IndividualFactory(population=population, code=code)
        for n in range(2):
            photo = add_photo(population, encounter=known)
            seed = 100 + 10 * number + n
            picture((LEFT, ink), seed=seed).save(photo.file.path)
            photo.save()
            annotation = Annotation.objects.create(
                photo=photo,
                x1=160,
                y1=160,
                x2=320,
                y2=320,
                individual=individual,
                evidence="attested",
            )
            from populations.services import crops

            crops.ensure_crop(annotation)
    real_snapshot.calibration = CALIBRATION
    real_snapshot.save()
    deployment = start_deployment(real_snapshot)
    run_job(deployment.job.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.ACTIVE
    return deployment


def test_an_encounter_becomes_animals_with_suggestions(population, deployed):
    encounter = start(
        population,
        upload("both.png", (LEFT, PLAIN), (RIGHT, STRIPED), seed=1),
        upload("plain.png", (RIGHT, PLAIN), seed=2),
        upload("sea.png", seed=3),
    )

    job = work(encounter)

    assert job.status == Job.Status.COMPLETED, job.reason
    assert encounter.photos.count() == 3
    animals = list(encounter.sightings.all())
    assert [a.annotations.count() for a in animals] == [2, 1]
    assert {a.status for a in animals} == {Sighting.Status.WAITING}
    best = [a.suggestions.get(rank=1) for a in animals]
    assert [s.individual.code for s in best] == ["P1", "S1"]
    assert best[0].similarity > 0.99
    assert best[0].best_match.individual.code == "P1"
    for animal in animals:
        rows = list(animal.suggestions.all())
        assert [r.rank for r in rows] == [1, 2, 3]
        assert sum(r.individual is None for r in rows) == 1
        probabilities = [r.probability for r in rows]
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities == sorted(probabilities, reverse=True)
    crops = Annotation.objects.filter(photo__encounter=encounter)
    assert set(crops.values_list("evidence", "individual")) == {("none", None)}


def test_doing_it_again_changes_nothing(population, deployed):
    encounter = start(population, upload("a.png", (LEFT, PLAIN), seed=1))
    work(encounter)
    before = (
        list(Photo.objects.values_list("pk", flat=True)),
        list(Annotation.objects.values_list("pk", "sighting")),
        list(Sighting.objects.values_list("pk", flat=True)),
        list(Suggestion.objects.values_list("rank", "individual", "sighting")),
    )

    onboarding.onboard_encounter(encounter=encounter, user=None)
    job = work(encounter)

    assert job.status == Job.Status.COMPLETED
    assert before == (
        list(Photo.objects.values_list("pk", flat=True)),
        list(Annotation.objects.values_list("pk", "sighting")),
        list(Sighting.objects.values_list("pk", flat=True)),
        list(Suggestion.objects.values_list("rank", "individual", "sighting")),
    )


def test_starting_twice_gives_the_job_under_way(population, deployed):
    encounter = start(population, upload("a.png", (LEFT, PLAIN)))

    again = onboarding.onboard_encounter(encounter=encounter, user=None)

    assert again == encounter.onboarding.job
    assert Job.objects.filter(kind="snapshots.onboarding").count() == 1


STEPS = ("add_photo", "detect_photos", "embed", "group", "suggest")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_step_resumes_without_duplicates(
    population, deployed, monkeypatch, step, moment
):
    encounter = start(
        population,
        upload("a.png", (LEFT, PLAIN), (RIGHT, STRIPED), seed=1),
        upload("b.png", (LEFT, PLAIN), seed=2),
    )
    original = getattr(onboarding, step)

    def die(*args, **kwargs):
        if moment == "after":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(onboarding, step, die)
        with pytest.raises(KeyboardInterrupt):
            run_job(encounter.onboarding.job_id)
    Job.objects.filter(pk=encounter.onboarding.job_id).update(
        status="queued", lease_token=""
    )

    job = work(encounter)

    assert job.status == Job.Status.COMPLETED, job.reason
    assert encounter.photos.count() == 2
    assert Annotation.objects.filter(photo__encounter=encounter).count() == 3
    animals = list(encounter.sightings.all())
    assert sorted(a.annotations.count() for a in animals) == [1, 2]
    assert [a.number for a in animals] == [1, 2]
    assert all(a.suggestions.count() == 3 for a in animals)
    outcomes = encounter.onboarding.files.values_list("outcome", flat=True)
    assert set(outcomes) == {OnboardingFile.Outcome.ADDED}


def test_a_bad_file_is_refused_by_itself(population, deployed):
    encounter = start(
        population,
        SimpleUploadedFile("broken.jpg", b"\xff\xd8 not a picture"),
        upload("good.png", (LEFT, PLAIN)),
    )

    job = work(encounter)

    assert job.status == Job.Status.COMPLETED
    files = {file.name: file for file in encounter.onboarding.files.all()}
    assert files["broken.jpg"].outcome == OnboardingFile.Outcome.REFUSED
    assert files["broken.jpg"].reason
    assert files["good.png"].outcome == OnboardingFile.Outcome.ADDED
    assert encounter.sightings.count() == 1


def test_a_photo_that_is_here_already_stays_where_it_is(population, deployed):
    first = start(population, upload("a.png", (LEFT, PLAIN), seed=5))
    work(first)
    Encounter.objects.filter(pk=first.pk).update(name="earlier")
    second = start(
        population,
        upload("again.png", (LEFT, PLAIN), seed=5),
        upload("b.png", (LEFT, STRIPED), seed=6),
        upload("c.png", (LEFT, STRIPED), seed=6),
    )

    work(second)

    files = {file.name: file for file in second.onboarding.files.all()}
    assert files["again.png"].outcome == OnboardingFile.Outcome.DUPLICATE
    assert "earlier" in files["again.png"].reason
    assert "b.png" in files["c.png"].reason
    assert first.photos.count() == 1
    assert second.photos.count() == 1


def test_without_a_deployment_each_crop_waits_for_a_name(population, detector):
    encounter = start(
        population,
        upload("a.png", (LEFT, PLAIN), seed=1),
        upload("b.png", (LEFT, PLAIN), seed=2),
    )

    job = work(encounter)

    assert job.status == Job.Status.COMPLETED
    assert encounter.sightings.count() == 2
    assert not Suggestion.objects.exists()
    encounter.onboarding.refresh_from_db()
    assert not encounter.onboarding.is_grouped


def test_deploying_later_groups_and_suggests(
    population, detector, real_snapshot, start_deployment
):
    encounter = start(
        population,
        upload("a.png", (LEFT, PLAIN), seed=1),
        upload("b.png", (LEFT, PLAIN), seed=2),
        upload("c.png", (LEFT, STRIPED), seed=3),
    )
    work(encounter)
    named = encounter.sightings.get(number=3)
    individual = IndividualFactory(population=population)
    named.annotations.update(individual=individual, evidence="confirmed")
    Sighting.objects.filter(pk=named.pk).update(
        status="confirmed", individual=individual
    )
    real_snapshot.calibration = CALIBRATION
    real_snapshot.save()

    deployment = start_deployment(real_snapshot)
    run_job(deployment.job.pk)
    work(encounter)

    named.refresh_from_db()
    assert named.status == Sighting.Status.CONFIRMED
    waiting = encounter.sightings.get(status="waiting")
    assert waiting.annotations.count() == 2
    assert waiting.suggestions.filter(individual=individual).exists()


def test_without_a_default_detector_the_job_says_so(population):
    encounter = start(population, upload("a.png", (LEFT, PLAIN)))

    job = work(encounter)

    assert job.status == Job.Status.FAILED
    assert "default detector" in job.reason
    assert encounter.photos.count() == 1


def test_photos_that_are_crops_already_need_no_detector(population):
    encounter = start(
        population, upload("a.png", (LEFT, PLAIN)), is_already_cropped=True
    )

    job = work(encounter)

    assert job.status == Job.Status.COMPLETED, job.reason
    crop = Annotation.objects.get(photo__encounter=encounter)
    assert (crop.x1, crop.y1, crop.x2, crop.y2) == (0, 0, 640, 640)


def test_more_photos_later_join_the_encounter(population, deployed):
    encounter = start(population, upload("a.png", (LEFT, PLAIN), seed=1))
    work(encounter)
    onboarding.stage_uploads(
        onboarding=encounter.onboarding,
        files=[upload("b.png", (LEFT, STRIPED), seed=2)],
    )

    onboarding.onboard_encounter(encounter=encounter, user=None)
    work(encounter)

    assert encounter.photos.count() == 2
    assert encounter.sightings.count() == 2


def test_a_confirmed_crop_is_searched_at_once(population, deployed):
    encounter = start(population, upload("a.png", (LEFT, PLAIN), seed=1))
    work(encounter)
    crop = Annotation.objects.get(photo__encounter=encounter)
    assert crop.pk not in gallery.load_gallery(deployed).annotation_ids

    individual = Individual.objects.get(code="P1")
    Annotation.objects.filter(pk=crop.pk).update(
        individual=individual, evidence="confirmed"
    )

    vectors = gallery.load_gallery(deployed)
    assert crop.pk in vectors.annotation_ids
    assert np.isin(individual.pk, vectors.individual_ids)


def test_the_staging_folder_is_gone_when_all_is_done(population, deployed):
    encounter = start(population, upload("a.png", (LEFT, PLAIN)))
    assert list(onboarding.staging_folder(encounter.pk).iterdir())

    work(encounter)

    assert not onboarding.staging_folder(encounter.pk).exists()


def test_a_model_deployed_while_the_job_is_at_work_is_asked(
    population, deployed, monkeypatch
):
    Deployment.objects.update(status=Deployment.Status.RETIRED)
    encounter = start(population, upload("a.png", (LEFT, PLAIN), seed=1))
    original = onboarding.group

    def deploy_meanwhile(*args):
        original(*args)
        Deployment.objects.update(status=Deployment.Status.ACTIVE)

    monkeypatch.setattr(onboarding, "group", deploy_meanwhile)

    work(encounter)

    best = Suggestion.objects.get(sighting__encounter=encounter, rank=1)
    assert best.individual.code == "P1"


def test_a_stopped_job_goes_on_when_it_is_started_again(
    population, deployed, monkeypatch
):
    encounter = start(
        population,
        upload("a.png", (LEFT, PLAIN), seed=1),
        upload("b.png", (LEFT, STRIPED), seed=2),
    )
    original = onboarding.add_photo

    def stop_after_one(**kwargs):
        Job.objects.filter(kind="snapshots.onboarding").update(
            stop_requested_at="2026-01-01T00:00Z"
        )
        return original(**kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(onboarding, "add_photo", stop_after_one)
        assert work(encounter).status == Job.Status.STOPPED
    assert encounter.photos.count() == 1
    assert not encounter.sightings.exists()

    onboarding.onboard_encounter(encounter=encounter, user=None)

    assert work(encounter).status == Job.Status.COMPLETED
    assert encounter.photos.count() == 2
    assert encounter.sightings.count() == 2
