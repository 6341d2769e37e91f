"""The kinds of job that the apps register, so that this app needs to know none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    from finwave.jobs.models import Job
    from finwave.jobs.running import JobRun


@dataclass(frozen=True, slots=True)
class JobKind:
    """What the mechanism must know of a kind of job; functions by dotted path."""

    name: str
    queue: str  # "cpu" or "train"
    # handler(run: JobRun) -> None; does the work; idempotent, resumes by itself.
    handler: str
    # can_view(user, job) -> bool: who may watch it (page and socket).
    can_view: str
    # can_stop(user, job) -> bool
    can_stop: str
    # url(job) -> str: the page of the job's subject.
    url: str
    # on_ended(job) -> None, optional: called once the job reached a terminal state,
    # whoever ended it (handler, stop while queued, reconcile).
    on_ended: str = ""

    def run(self, run: JobRun) -> None:
        cast("Callable[[JobRun], None]", import_string(self.handler))(run)

    def allows_viewing(self, user: User | AnonymousUser, job: Job) -> bool:
        return bool(import_string(self.can_view)(user, job))

    def allows_stopping(self, user: User | AnonymousUser, job: Job) -> bool:
        return bool(import_string(self.can_stop)(user, job))

    def page(self, job: Job) -> str:
        return str(import_string(self.url)(job))

    def ended(self, job: Job) -> None:
        if self.on_ended:
            import_string(self.on_ended)(job)


_kinds: dict[str, JobKind] = {}


def register(kind: JobKind) -> None:
    """Make a kind known; called from an app's `AppConfig.ready`."""
    _kinds[kind.name] = kind


def is_known(name: str) -> bool:
    return name in _kinds


def get(name: str) -> JobKind:
    return _kinds[name]
