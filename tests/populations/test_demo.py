from __future__ import annotations

import csv

import pytest

from finwave.jobs import services as jobs
from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from finwave.ml.rendering.survey import plan_survey
from populations.models import (
    Detector,
    Encounter,
    Individual,
    Membership,
    Photo,
    Population,
)
from populations.services import demo
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db


def run_all():
    """Run every queued job, and those that these queue, in order."""
    while job := Job.objects.filter(status=Job.Status.QUEUED).order_by("pk").first():
        run_job(job.pk)


@pytest.fixture
def small_survey(monkeypatch):
    """A season a tenth as long: the first photos of each encounter, of every kind."""
    whole = plan_survey(seed=demo.SEED)
    labelled, new = whole.labelled[::12], whole.new[::8]
    small = type(whole)(whole.seed, whole.codes, labelled, new)
    monkeypatch.setattr(
        "finwave.ml.rendering.survey.plan_survey", lambda *, seed: small
    )
    return small


def test_create_demo_population_makes_one_with_its_maker_as_administrator():
    user = UserFactory()

    population = demo.create_demo_population(user)

    assert population.is_demo
    assert population.name == "Demo: rendered dolphins"
    membership = Membership.objects.get(population=population, user=user)
    assert membership.role == Membership.Role.ADMINISTRATOR
    job = Job.objects.get(scope_id=population.pk)
    assert (job.kind, job.status) == ("populations.demo", Job.Status.QUEUED)


def test_create_demo_population_again_opens_the_existing_one():
    first = demo.create_demo_population(UserFactory())
    other = UserFactory()

    second = demo.create_demo_population(other)

    assert second == first
    assert Population.objects.count() == 1
    assert Job.objects.count() == 1
    membership = Membership.objects.get(population=first, user=other)
    assert membership.role == Membership.Role.TRAINER


def test_demo_brings_its_photos_in_through_the_import(small_survey):
    population = demo.create_demo_population(UserFactory())

    run_all()

    kinds = Job.objects.order_by("pk").values_list("kind", "status")
    assert list(kinds) == [
        ("populations.demo", "completed"),
        ("populations.import", "completed"),
    ]
    photos = Photo.objects.filter(population=population)
    assert photos.count() == len(small_survey.labelled)
    assert set(Encounter.objects.values_list("name", flat=True)) == {
        photo.encounter for photo in small_survey.labelled
    }
    labelled = {code for photo in small_survey.labelled for code in photo.labels}
    assert set(Individual.objects.values_list("code", flat=True)) == labelled
    photo = small_survey.labelled[0]
    row = photos.get(original_name=photo.path)
    label = row.labels.get()
    assert (label.individual.code, label.side) == (
        photo.labels[0],
        photo.conditions.side,
    )
    assert row.encounter.date_on == photo.taken_at.date()
    assert row.taken_at is not None


def test_demo_knows_the_bundled_detector(small_survey):
    population = demo.create_demo_population(UserFactory())

    run_all()

    population.refresh_from_db()
    assert population.default_detector == Detector.objects.get(population=None)


def test_demo_rendering_goes_on_where_it_was_stopped(small_survey):
    user = UserFactory()
    population = demo.create_demo_population(user)
    job = Job.objects.get()
    # A photo that was there before the kill is not rendered again.
    path = demo.rendered_folder(population) / small_survey.labelled[0].path
    demo.write_photo(path, small_survey.labelled[0])
    written_at = path.stat().st_mtime_ns
    jobs.stop_job(job, user)
    run_all()
    assert path.stat().st_mtime_ns == written_at
    assert Photo.objects.count() == 0

    demo.create_demo_population(user)
    run_all()

    assert Photo.objects.count() == len(small_survey.labelled)


def test_demo_job_twice_imports_once(small_survey):
    population = demo.create_demo_population(UserFactory())
    run_all()
    job = demo.start_rendering(population, UserFactory())

    run_job(job.pk)

    assert Photo.objects.count() == len(small_survey.labelled)
    assert population.import_batches.count() == 1


def test_demo_killed_before_the_import_began_begins_it(small_survey):
    """As if the worker died between making the batch and starting its import."""
    user = UserFactory()
    population = demo.create_demo_population(user)
    for photo in small_survey.labelled:
        demo.write_photo(demo.rendered_folder(population) / photo.path, photo)
    batch = population.import_batches.create(source="folder", labels="csv")

    run_all()

    assert population.import_batches.get() == batch
    assert Photo.objects.count() == len(small_survey.labelled)


def test_list_demo_encounters_names_photos_that_are_not_in_the_catalogue(small_survey):
    population = demo.create_demo_population(UserFactory())
    assert demo.list_demo_encounters(population) == []

    run_all()

    encounters = demo.list_demo_encounters(population)
    assert [e.name for e in encounters] == ["2025-08-03", "2025-08-30"]
    assert sum(e.n_photos for e in encounters) == len(small_survey.new)
    assert all(path.is_file() for e in encounters for path in e.photos)
    assert not Encounter.objects.filter(name__in=[e.name for e in encounters]).exists()
    truth = demo.encounters_folder(population) / "truth.csv"
    with truth.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["filename"] for row in rows} == {p.path for p in small_survey.new}


def test_list_demo_encounters_of_another_population_is_empty():
    population = Population.objects.create(name="Seals", slug="seals")

    assert demo.list_demo_encounters(population) == []
