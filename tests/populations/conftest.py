"""A population with one person of each role, and photographs made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from populations.models import Membership, Population
from tests.factories.accounts import UserFactory
from tests.factories.populations import MembershipFactory, PopulationFactory


@dataclass(frozen=True)
class Team:
    population: Population
    stranger: User
    viewer: User
    annotator: User
    trainer: User
    administrator: User

    def client(self, who: str) -> Client:
        client = Client()
        if who != "anonymous":
            client.force_login(getattr(self, who))
        return client


@pytest.fixture
def team(db) -> Team:
    population = PopulationFactory(name="Dolphins of the firth", slug="firth")
    people = {
        role.label.lower(): MembershipFactory(population=population, role=role).user
        for role in Membership.Role
    }
    # The stranger is somebody in another population, so that data could leak.
    stranger = MembershipFactory(role=Membership.Role.ADMINISTRATOR).user
    return Team(population=population, stranger=stranger, **people)


ROLES = ("viewer", "annotator", "trainer", "administrator")


def assert_access(
    team: Team,
    url: str,
    needed: str,
    *,
    method: str = "get",
    data: dict[str, object] | None = None,
    allowed: tuple[int, ...] = (200,),
) -> None:
    """Anonymous is sent to sign in, a stranger gets 404, too small a role 403.

    Those who may are asked last, as their request may change something.
    """

    def status(who: str) -> int:
        return getattr(team.client(who), method)(url, data).status_code

    anonymous = getattr(team.client("anonymous"), method)(url, data)
    assert anonymous.status_code == 302
    assert anonymous.url.startswith("/accounts/")
    assert status("stranger") == 404
    for role in ROLES[: ROLES.index(needed)]:
        assert status(role) == 403, role
    assert status(needed) in allowed


@pytest.fixture
def photo_bytes() -> Callable[..., bytes]:
    """Return a maker of small photographs that differ by their seed."""

    def make(
        seed: int = 0,
        *,
        file_format: str = "JPEG",
        size_wh: tuple[int, int] = (64, 48),
        taken_at: datetime | None = None,
    ) -> bytes:
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 255, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        exif = Image.Exif()
        if taken_at is not None:
            exif.get_ifd(0x8769)[0x9003] = taken_at.strftime("%Y:%m:%d %H:%M:%S")
        buffer = io.BytesIO()
        image.save(buffer, file_format, exif=exif)
        return buffer.getvalue()

    return make


@pytest.fixture
def user(db) -> User:
    return UserFactory()
