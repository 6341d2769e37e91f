"""The job for this user, or 404 for a stranger, 403 for who may watch but not stop it.

The kind of a job knows who may; by definition only the job's scope decides, so the
answer for one job of a kind holds for all of them in that scope.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from finwave.jobs import kinds
from finwave.jobs.models import Job

# Why a socket is closed; the browser does not come back after these.
NOT_SIGNED_IN, NOT_FOUND, ENDED = 4403, 4404, 4410


def can_view(user: User | AnonymousUser, job: Job) -> bool:
    return kinds.is_known(job.kind) and kinds.get(job.kind).allows_viewing(user, job)


def can_stop(user: User | AnonymousUser, job: Job) -> bool:
    return kinds.is_known(job.kind) and kinds.get(job.kind).allows_stopping(user, job)


def job_for(user: User, pk: int) -> Job:
    job = get_object_or_404(Job, pk=pk)
    if not can_view(user, job):
        raise Http404
    return job


def job_for_stopping(user: User, pk: int) -> Job:
    job = job_for(user, pk)
    if not can_stop(user, job):
        raise PermissionDenied("Your role here does not allow you to stop jobs.")
    return job


def visible_jobs(user: User, jobs: Iterable[Job]) -> list[Job]:
    """Return those jobs that the user may watch; asks once a kind and scope."""
    answers: dict[tuple[str, int], bool] = {}
    visible = []
    for job in jobs:
        key = (job.kind, job.scope_id)
        if key not in answers:
            answers[key] = can_view(user, job)
        if answers[key]:
            visible.append(job)
    return visible


def closing_code(session_key: str | None, pk: int, cursor: int) -> int:
    """Return why a socket may not go on, or 0 if it may.

    Everything is read anew: the session may have ended, the password been changed, or
    the membership been taken away since the socket was opened.
    """
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(cast(HttpRequest, SimpleNamespace(session=store)))
    if not user.is_authenticated:
        return NOT_SIGNED_IN
    job = Job.objects.filter(pk=pk).first()
    if job is None or not can_view(user, job):
        return NOT_FOUND
    return ENDED if job.is_finished and cursor >= job.last_seq else 0
