"""A population with a person of each role, and a stranger."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from populations.models import Membership, Population
from snapshots.models import TrainedModel
from tests.factories.populations import MembershipFactory, PopulationFactory
from tests.factories.snapshots import TrainedModelFactory

Role = Membership.Role


@pytest.fixture
def population(db) -> Population:
    return PopulationFactory(name="Dolphins of the bay", slug="bay")


@pytest.fixture
def model(population) -> TrainedModel:
    return TrainedModelFactory(population=population, name="Fins")


def member(population: Population, role: Role) -> User:
    return MembershipFactory(population=population, role=role).user


@pytest.fixture
def viewer(population) -> User:
    return member(population, Role.VIEWER)


@pytest.fixture
def annotator(population) -> User:
    return member(population, Role.ANNOTATOR)


@pytest.fixture
def trainer(population) -> User:
    return member(population, Role.TRAINER)


@pytest.fixture
def stranger(population) -> User:
    # A member elsewhere: only the population's own members may see it.
    return MembershipFactory(role=Role.ADMINISTRATOR).user


@pytest.fixture
def check_access(client, stranger, viewer, annotator, trainer):
    """Ask a URL as everybody; whose role is below `needed` is refused."""
    people = {Role.VIEWER: viewer, Role.ANNOTATOR: annotator, Role.TRAINER: trainer}

    def check(url: str, needed: Role, *, method: str = "get") -> None:
        ask = getattr(client, method)
        client.logout()
        response = ask(url)
        assert response.status_code == 302
        assert response.url.startswith("/accounts/")
        client.force_login(stranger)
        assert ask(url).status_code == 404
        for role, person in people.items():
            client.force_login(person)
            status = ask(url).status_code
            if role < needed:
                assert status == 403, role
            else:
                assert status not in (403, 404), role

    return check
