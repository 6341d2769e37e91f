"""A kind of job of the tests' own: who may do what is a matter of the user's name."""

from __future__ import annotations

import pytest

from finwave.jobs import kinds
from finwave.jobs.running import shutting_down
from tests.factories.accounts import UserFactory

HERE = "tests.finwave.jobs.conftest"


def can_view(user, job):
    return user.username in ("viewer", "trainer")


def can_stop(user, job):
    return user.username == "trainer"


def page(job):
    return f"/subjects/{job.subject_id}/"


class Handler:
    """What the tests' kind does: set by each test."""

    def __init__(self):
        self.work = lambda run: None
        self.on_ended = lambda job: None
        self.ended = []


current = Handler()


def handle(run):
    current.work(run)


def ended(job):
    current.ended.append((job.pk, job.status))
    current.on_ended(job)


@pytest.fixture(autouse=True)
def handler(monkeypatch):
    """The tests' kind is known, and does nothing until told."""
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    kinds.register(
        kinds.JobKind(
            name="tests.work",
            queue="cpu",
            handler=f"{HERE}.handle",
            can_view=f"{HERE}.can_view",
            can_stop=f"{HERE}.can_stop",
            url=f"{HERE}.page",
            on_ended=f"{HERE}.ended",
        )
    )
    current.__init__()
    shutting_down.clear()
    yield current
    shutting_down.clear()


@pytest.fixture
def stranger(db):
    return UserFactory(username="stranger")


@pytest.fixture
def viewer(db):
    return UserFactory(username="viewer")


@pytest.fixture
def trainer(db):
    return UserFactory(username="trainer")
