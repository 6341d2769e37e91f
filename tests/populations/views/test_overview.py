from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from finwave.jobs.services import start_job
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    SightingFactory,
)
from tests.populations.conftest import assert_access

URL = "/populations/firth/"


def test_overview_access(team):
    assert_access(team, URL, "viewer")


def primary_action(page: str) -> str:
    """Return the words of the one filled button; "" if there is none."""
    parts = page.split('class="button button-primary"')
    assert len(parts) <= 2
    return parts[1].split(">", 1)[1].split("<")[0].strip() if len(parts) == 2 else ""


def test_the_next_step_follows_the_path(team):
    client = team.client("trainer")
    assert primary_action(client.get(URL).content.decode()) == "Bring photographs in"

    photo = PhotoFactory(population=team.population)
    assert primary_action(client.get(URL).content.decode()) == "Start detection"

    type(photo).objects.update(n_detections=2, tier=3, tier_reason="not-dominant")
    assert primary_action(client.get(URL).content.decode()) == "Look at tier 3"

    AnnotationFactory(photo=photo)
    assert (
        primary_action(client.get(URL).content.decode()) == "Bring more photographs in"
    )

    for _ in range(2):
        encounters = EncounterFactory.create_batch(3, population=team.population)
        individual = IndividualFactory(population=team.population)
        for encounter in encounters:
            AnnotationFactory(
                photo__population=team.population,
                photo__encounter=encounter,
                photo__n_detections=1,
                individual=individual,
                crop="crop.jpg",
            )
    assert primary_action(client.get(URL).content.decode()) == "Train a model"


def test_while_photographs_come_in_the_next_step_is_to_watch(team):
    start_job(
        kind="populations.import",
        scope_id=team.population.pk,
        subject_id=7,
        title="Import of photographs",
        user=team.trainer,
    )

    page = team.client("viewer").get(URL).content.decode()

    assert primary_action(page) == "Watch the import"
    assert 'href="/populations/firth/imports/7/"' in page


def test_a_viewer_is_offered_no_step_that_is_not_theirs(team):
    assert primary_action(team.client("viewer").get(URL).content.decode()) == ""


def test_overview_shows_the_figures(team):
    PhotoFactory.create_batch(
        2, population=team.population, tier=1, tier_reason="single", n_detections=1
    )
    IndividualFactory(population=team.population)
    PhotoFactory()  # of another population

    page = team.client("viewer").get(URL).content.decode()

    figures = "".join(page.split())
    assert '<ddclass="number">2</dd><dt>photographs</dt>' in figures
    assert '<ddclass="number">1</dd><dt>individuals</dt>' in figures


def n_queries(team) -> int:
    client = team.client("viewer")
    with CaptureQueriesContext(connection) as queries:
        client.get(URL)
    return len(queries)


def test_overview_costs_the_same_for_more_of_everything(team):
    # Not a literal number: other apps contribute queries of their own.
    def add() -> None:
        for status in ("running", "completed"):
            job = start_job(
                kind="populations.import",
                scope_id=team.population.pk,
                subject_id=1,
                title=f"Import {status}",
                user=team.trainer,
            )
            type(job).objects.filter(pk=job.pk).update(
                status=status, lease_token="x", finished_at=job.created_at
            )
        AnnotationFactory(photo__population=team.population)
        SightingFactory(encounter__population=team.population)

    add()
    n_with_one = n_queries(team)
    add()
    add()

    assert n_queries(team) == n_with_one
