"""Verbs over job rows: start, claim, move, stop, finish, reconcile.

Every transition is one conditional update that says whether it won. Nothing here
knows what a job does.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from datetime import timedelta
from typing import Any

import psutil
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task

from finwave.jobs import kinds
from finwave.jobs.exceptions import JobNotStoppable, LeaseLost
from finwave.jobs.models import Event, Job

logger = logging.getLogger(__name__)

# A holder that did not write for so long is taken for dead. Heartbeats come every
# HEARTBEAT_S from a thread of their own, so only a dead or frozen process misses six.
HEARTBEAT_S = 5
LEASE_S = 30
# Attempts in a row that died without any progress before the job is given up.
MAX_FAILED_ATTEMPTS = 3


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
        append_event(job.pk, "status", {"status": job.status})
        enqueue(job)
    logger.info("job=%s kind=%s queued", job.pk, kind)
    return job


def enqueue(job: Job) -> None:
    """Hand the job's id to its queue; part of the caller's transaction."""
    async_task("finwave.jobs.tasks.run_job", job.pk, cluster=job.queue)


def append_event(job_id: int, kind: str, data: dict[str, Any]) -> int:
    """Write the job's next event and return its number.

    The row's counter is moved first, which also locks the row, so numbers commit in
    their order whoever writes.
    """
    with transaction.atomic():
        Job.objects.filter(pk=job_id).update(last_seq=F("last_seq") + 1)
        seq = Job.objects.values_list("last_seq", flat=True).get(pk=job_id)
        Event.objects.create(job_id=job_id, seq=seq, kind=kind, data=data)
    return seq


def owner_name() -> str:
    """Name this process so that another one can tell whether it still lives."""
    process = psutil.Process(os.getpid())
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def claim(job_id: int) -> str | None:
    """Take a queued job; return the lease token, or None if it is not to be had."""
    token = uuid.uuid4().hex
    now = timezone.now()
    with transaction.atomic():
        claimed = Job.objects.filter(pk=job_id, status=Job.Status.QUEUED).update(
            status=Job.Status.PREPARING,
            lease_token=token,
            lease_owner=owner_name(),
            heartbeat_at=now,
            started_at=now,
            attempt=F("attempt") + 1,
            reason="",
        )
        if claimed != 1:
            return None
        append_event(job_id, "status", {"status": Job.Status.PREPARING})
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
        raise LeaseLost(f"job {job_id} is held by somebody else")


def finish(job_id: int, token: str, status: str, reason: str = "") -> bool:
    """End the job as its holder; False when the lease was lost meanwhile."""
    with transaction.atomic():
        won = Job.objects.filter(
            pk=job_id, lease_token=token, status__in=Job.ACTIVE
        ).update(
            status=status,
            reason=reason,
            finished_at=timezone.now(),
            lease_token="",
            lease_owner="",
            heartbeat_at=None,
            time_left_s=None,
            phase="",
        )
        if won != 1:
            return False
        append_event(job_id, "status", {"status": status, "reason": reason})
        job = Job.objects.get(pk=job_id)
        kinds.get(job.kind).ended(job)
    logger.info("job=%s ended status=%s reason=%s", job_id, status, reason)
    return True


def stop_job(job: Job, user: User | None = None) -> Job:
    """Ask a job to stop; a queued one stops at once.

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
        asked = stopped or Job.objects.filter(
            pk=job.pk, status__in=(Job.Status.QUEUED, *Job.ACTIVE)
        ).update(stop_requested_at=now, stop_requested_by=user)
        if not asked:
            raise JobNotStoppable(f"{job.title} has ended already.")
        Job.objects.filter(
            pk=job.pk, status__in=(Job.Status.PREPARING, Job.Status.RUNNING)
        ).update(status=Job.Status.STOPPING)
        job.refresh_from_db()
        append_event(job.pk, "status", {"status": job.status, "reason": job.reason})
        if stopped:
            kinds.get(job.kind).ended(job)
    logger.info("job=%s stop requested user=%s", job.pk, user and user.pk)
    return job


def requeue(job: Job, *, reason: str, progressed: bool) -> bool:
    """Put an interrupted job back into its queue, or give it up.

    Only wins when the job's lease is still the one that `job` was read with.
    """
    failed_attempts = 0 if progressed else job.failed_attempts + 1
    with transaction.atomic():
        held = Job.objects.filter(
            pk=job.pk, lease_token=job.lease_token, status__in=Job.ACTIVE
        )
        if failed_attempts >= MAX_FAILED_ATTEMPTS:
            return finish(
                job.pk,
                job.lease_token,
                Job.Status.FAILED,
                f"Given up after {failed_attempts} attempts that ended without any "
                f"progress. {reason}",
            )
        won = held.update(
            status=Job.Status.QUEUED,
            reason=reason,
            failed_attempts=failed_attempts,
            lease_token="",
            lease_owner="",
            heartbeat_at=None,
        )
        if won != 1:
            return False
        append_event(job.pk, "status", {"status": Job.Status.QUEUED, "reason": reason})
        enqueue(job)
    logger.warning("job=%s requeued reason=%s", job.pk, reason)
    return True


def is_holder_alive(job: Job) -> bool:
    """Tell whether the process that holds the lease may still be at work."""
    host, pid, started = (*job.lease_owner.rsplit(":", 2), "", "")[:3]
    if host == socket.gethostname() and pid.isdigit():
        try:
            process = psutil.Process(int(pid))
            return (
                f"{process.create_time():.2f}" == started
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False
    limit = timezone.now() - timedelta(seconds=LEASE_S)
    return job.heartbeat_at is not None and job.heartbeat_at > limit
