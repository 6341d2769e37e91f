"""Verbs over job rows: start, claim, move, stop, finish, put back.

Every transition is one conditional update that says whether it won. Nothing here
knows what a job does.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_q.tasks import async_task

from finwave.jobs import kinds
from finwave.jobs.exceptions import JobNotStoppable, LeaseLost
from finwave.jobs.models import Event, Job
from finwave.jobs.timing import FROZEN_S, LEASE_S, MAX_FAILED_ATTEMPTS

logger = logging.getLogger(__name__)

RUN_JOB = "finwave.jobs.tasks.run_job"
# What a job that nobody holds has in the columns of its holder.
NO_HOLDER: dict[str, Any] = {
    "lease_token": "",
    "lease_owner": "",
    "heartbeat_at": None,
    "time_left_s": None,
    "phase": "",
}


def start_job(
    *,
    kind: str,
    scope_id: int,
    subject_id: int,
    title: str,
    user: User | None = None,
    n_total: int = 0,
    unit: str = "photos",
) -> Job:
    """Write a queued job and hand its id to the queue, in one transaction."""
    queue = kinds.get(kind).queue
    with transaction.atomic():
        job = Job.objects.create(
            kind=kind,
            queue=queue,
            scope_id=scope_id,
            subject_id=subject_id,
            title=title,
            created_by=user,
            n_total=n_total,
            unit=unit,
        )
        job.last_seq = append_event(job.pk, "status", {"status": job.status})
        enqueue(job)
    logger.info("job=%s kind=%s queued", job.pk, kind)
    return job


def enqueue(job: Job) -> None:
    """Hand the job's id to its queue; part of the caller's transaction."""
    async_task(RUN_JOB, job.pk, cluster=job.queue)


def append_event(
    job_id: int, kind: str, data: dict[str, Any], *, token: str | None = None
) -> int:
    """Write the job's next event and return its number.

    Raises:
        LeaseLost: if a token is given and the lease is somebody else's now.
    """
    return append_events(job_id, [(kind, data)], token=token)


def append_events(
    job_id: int,
    events: Sequence[tuple[str, dict[str, Any]]],
    *,
    token: str | None = None,
) -> int:
    """Write the job's next events and return the number of the last.

    The row's counter is moved first, which also locks the row, so numbers commit in
    their order whoever writes; with a token only the holder of the lease can.
    """
    held = Q(lease_token=token, status__in=Job.ACTIVE) if token else Q()
    with transaction.atomic():
        moved = Job.objects.filter(held, pk=job_id).update(
            last_seq=F("last_seq") + len(events)
        )
        if moved != 1:
            raise LeaseLost(f"job {job_id} is held by somebody else, or gone")
        last = Job.objects.values_list("last_seq", flat=True).get(pk=job_id)
        first = last - len(events) + 1
        Event.objects.bulk_create(
            Event(job_id=job_id, seq=first + i, kind=kind, data=data)
            for i, (kind, data) in enumerate(events)
        )
    return last


def machine_name() -> str:
    """Name what a process number is valid in: the machine, or the container on it.

    Two containers may well have one host name, and number their processes alike.
    """
    host = socket.gethostname()
    try:
        return f"{host}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux
        return host


def owner_name() -> str:
    """Name this process so that another one can tell whether it still lives."""
    process = psutil.Process(os.getpid())
    return f"{machine_name()}:{process.pid}:{process.create_time():.2f}"


def claim(job_id: int) -> str | None:
    """Take a queued job; return the lease token, or None if it is not to be had.

    The attempt counts as failed until it makes progress: a process that is killed
    could not count itself.
    """
    token = uuid.uuid4().hex
    now = timezone.now()
    with transaction.atomic():
        claimed = Job.objects.filter(pk=job_id, status=Job.Status.QUEUED).update(
            status=Job.Status.PREPARING,
            lease_token=token,
            lease_owner=owner_name(),
            heartbeat_at=now,
            started_at=Coalesce(F("started_at"), now),
            attempt=F("attempt") + 1,
            failed_attempts=F("failed_attempts") + 1,
            reason="",
        )
        if claimed != 1:
            return None
        append_event(job_id, "status", {"status": Job.Status.PREPARING}, token=token)
    return token


def heartbeat(job_id: int, token: str) -> bool:
    """Say that the holder lives; False when the lease is somebody else's now."""
    return (
        Job.objects.filter(pk=job_id, lease_token=token, status__in=Job.ACTIVE).update(
            heartbeat_at=timezone.now()
        )
        == 1
    )


def update_held(job_id: int, token: str, **fields: Any) -> None:
    """Change the row as its holder.

    Raises:
        LeaseLost: if the lease is somebody else's now.
    """
    updated = Job.objects.filter(
        pk=job_id, lease_token=token, status__in=Job.ACTIVE
    ).update(heartbeat_at=timezone.now(), **fields)
    if updated != 1:
        raise LeaseLost(f"job {job_id} is held by somebody else, or gone")


def finish(job_id: int, token: str, status: str, reason: str = "") -> bool:
    """End the job as its holder; False when the lease was lost meanwhile."""
    with transaction.atomic():
        won = Job.objects.filter(
            pk=job_id, lease_token=token, status__in=Job.ACTIVE
        ).update(status=status, reason=reason, finished_at=timezone.now(), **NO_HOLDER)
        if won != 1:
            return False
        append_event(job_id, "status", {"status": status, "reason": reason})
        _tell_kind(Job.objects.get(pk=job_id))
    logger.info("job=%s ended status=%s reason=%s", job_id, status, reason)
    return True


def _tell_kind(job: Job) -> None:
    """Let the job's kind know that it ended.

    An error there must not undo the end: the holder lives on with its next job, so
    nobody would ever find this one abandoned.
    """
    try:
        with transaction.atomic():
            kinds.get(job.kind).ended(job)
    except Exception:
        logger.exception("job=%s kind=%s on_ended failed", job.pk, job.kind)


def stop_job(job: Job, user: User | None = None) -> Job:
    """Ask a job to stop; one that never ran stops at once. Asking twice is one ask.

    Raises:
        JobNotStoppable: if it has ended already.
    """
    now = timezone.now()
    with transaction.atomic():
        # A queued job that has run before was interrupted and holds results, so it
        # is started once more: its handler sees the request and ends tidily.
        stopped = Job.objects.filter(
            pk=job.pk, status=Job.Status.QUEUED, attempt=0
        ).update(
            status=Job.Status.STOPPED,
            stop_requested_at=now,
            stop_requested_by=user,
            finished_at=now,
            reason="Stopped before it started.",
        )
        asked = stopped or Job.objects.unfinished().filter(
            pk=job.pk, stop_requested_at=None
        ).update(stop_requested_at=now, stop_requested_by=user)
        Job.objects.filter(
            pk=job.pk, status__in=(Job.Status.PREPARING, Job.Status.RUNNING)
        ).update(status=Job.Status.STOPPING)
        job.refresh_from_db()
        if not asked:
            if job.is_finished:
                raise JobNotStoppable(f"{job.title} has ended already.")
            return job
        job.last_seq = append_event(
            job.pk,
            "status",
            {"status": job.status, "reason": job.reason, "stop_requested": True},
        )
        if stopped:
            _tell_kind(job)
    logger.info("job=%s stop requested user=%s", job.pk, user and user.pk)
    return job


def requeue(job_id: int, token: str, *, reason: str, is_orderly: bool) -> bool:
    """Put an interrupted job back into its queue, or give it up.

    Only wins while the lease is `token`. An orderly interruption is no failed attempt;
    after `MAX_FAILED_ATTEMPTS` without progress the job fails with the reason.
    """
    with transaction.atomic():
        held = Job.objects.filter(pk=job_id, lease_token=token, status__in=Job.ACTIVE)
        # Locks the row, so that what is read next stays true until the end.
        if held.update(heartbeat_at=F("heartbeat_at")) != 1:
            return False
        job = held.get()
        if not is_orderly and job.failed_attempts >= MAX_FAILED_ATTEMPTS:
            return finish(
                job_id,
                token,
                Job.Status.FAILED,
                f"Given up after {job.failed_attempts} attempts in a row that ended "
                f"without any progress. {reason}",
            )
        held.update(
            status=Job.Status.QUEUED,
            reason=reason,
            failed_attempts=0 if is_orderly else job.failed_attempts,
            **NO_HOLDER,
        )
        append_event(job_id, "status", {"status": Job.Status.QUEUED, "reason": reason})
        enqueue(job)
    logger.warning("job=%s requeued reason=%s", job_id, reason)
    return True


def is_holder_alive(job: Job) -> bool:
    """Tell whether the process that holds the lease may still be at work.

    On this machine the process itself is looked for; on another one only its
    heartbeat can tell.
    """
    host, pid, started = (*job.lease_owner.rsplit(":", 2), "", "")[:3]
    if host == machine_name() and pid.isdigit():
        return _is_process_alive(int(pid), started) and _is_fresh(job, FROZEN_S)
    return _is_fresh(job, LEASE_S)


def _is_process_alive(pid: int, started: str) -> bool:
    try:
        process = psutil.Process(pid)
        # The start time tells a reused number; it wobbles with the clock's drift.
        is_same = abs(process.create_time() - float(started)) < 2
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError):
        return False


def _is_fresh(job: Job, limit_s: float) -> bool:
    limit = timezone.now() - timedelta(seconds=limit_s)
    return job.heartbeat_at is not None and job.heartbeat_at > limit
