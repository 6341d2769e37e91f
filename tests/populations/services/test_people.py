from __future__ import annotations

import pytest

from finwave import home
from finwave.jobs.services import start_job
from populations.exceptions import LastAdministrator, PopulationsError
from populations.models import Annotation, Membership, Population
from populations.services import people
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    AnnotationFactory,
    DetectionFactory,
    MembershipFactory,
    PopulationFactory,
    SightingFactory,
)

pytestmark = pytest.mark.django_db

Role = Membership.Role


def test_the_creator_becomes_administrator():
    user = UserFactory()

    population = people.create_population(
        population=Population(name="Orcas of the Sound"), user=user
    )

    assert population.slug == "orcas-of-the-sound"
    assert population.memberships.get().role == Role.ADMINISTRATOR


@pytest.mark.parametrize(
    ("name", "expected"), [("New", "new-2"), ("Demo", "demo-2"), ("鯨", "population")]
)
def test_slugs_hide_no_page(name, expected):
    assert people.free_slug(name) == expected


def test_slugs_are_unique():
    PopulationFactory(slug="orcas")

    assert people.free_slug("Orcas") == "orcas-2"


def test_a_member_is_added_once():
    membership = MembershipFactory(role=Role.TRAINER)

    with pytest.raises(PopulationsError, match="already, as trainer"):
        people.add_member(
            population=membership.population, user=membership.user, role=Role.VIEWER
        )

    membership.refresh_from_db()
    assert membership.role == Role.TRAINER


def test_the_last_administrator_stays():
    membership = MembershipFactory(role=Role.ADMINISTRATOR)
    MembershipFactory(population=membership.population, role=Role.TRAINER)
    MembershipFactory(role=Role.ADMINISTRATOR)  # of another population

    with pytest.raises(LastAdministrator):
        people.remove_member(membership=membership)
    with pytest.raises(LastAdministrator):
        people.change_role(membership=membership, role=Role.TRAINER)

    membership.refresh_from_db()
    assert membership.role == Role.ADMINISTRATOR


def test_one_of_two_administrators_may_go():
    first = MembershipFactory(role=Role.ADMINISTRATOR)
    second = MembershipFactory(population=first.population, role=Role.ADMINISTRATOR)

    people.change_role(membership=first, role=Role.VIEWER)

    with pytest.raises(LastAdministrator):
        people.remove_member(membership=second)


def test_deleting_takes_rows_and_files_and_leaves_others(
    django_capture_on_commit_callbacks,
):
    annotation = AnnotationFactory()
    population = annotation.photo.population
    DetectionFactory(photo=annotation.photo)
    SightingFactory(encounter__population=population, individual=annotation.individual)
    other = AnnotationFactory()
    folder = home.population_folder(population.pk)
    kept = home.population_folder(other.photo.population_id)
    for place in (folder, kept):
        (place / "photos").mkdir(parents=True)

    with django_capture_on_commit_callbacks(execute=True):
        people.delete_population(population=population, user=UserFactory())

    assert list(Annotation.objects.all()) == [other]
    assert not folder.exists()
    assert kept.exists()


def test_deleting_waits_for_running_jobs():
    population = PopulationFactory()
    user = UserFactory()
    job = start_job(
        kind="populations.import",
        scope_id=population.pk,
        subject_id=1,
        title="Import of photographs",
        user=user,
    )
    type(job).objects.update(status="running", lease_token="x")

    with pytest.raises(PopulationsError, match="Import of photographs is still"):
        people.delete_population(population=population, user=user)

    job.refresh_from_db()
    assert job.stop_requested_at is not None
    assert Population.objects.filter(pk=population.pk).exists()
