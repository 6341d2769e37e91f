"""Find jobs that nobody works on, and put them right.

Runs in the guardian of each worker, at its start, every minute and when a worker died.
Any number of guardians may do it at once: each step is conditional.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from finwave.jobs import services
from finwave.jobs.models import Job

logger = logging.getLogger(__name__)

HOLDER_DIED = "The worker that ran it ended suddenly; it continues where it was."


def reconcile() -> int:
    """Requeue what a dead worker held, enqueue what the queue forgot; return how many.

    1. Active jobs whose holder is dead go back to the queue, or are given up.
    2. Queued jobs without an entry that the queue would still hand out get one. The
       queue acknowledges what it handed to a worker that was shutting down, and what
       a killed cluster had fetched stays locked for ever. An entry too many does no
       harm: only one claim wins.
    """
    n_mended = 0
    for job in Job.objects.active():
        if not services.is_holder_alive(job):
            n_mended += services.requeue(
                job.pk, job.lease_token, reason=HOLDER_DIED, is_orderly=False
            )
    with transaction.atomic():
        offered = _offered_ids()
        for job in Job.objects.filter(status=Job.Status.QUEUED):
            if job.pk not in offered:
                services.enqueue(job)
                logger.info("job=%s enqueued again", job.pk)
                n_mended += 1
    return n_mended


def forget_fetched(queue: str) -> None:
    """Drop the entries that an ended cluster of this queue had fetched.

    Their jobs are found by `reconcile`. Should a cluster on another machine hold one
    of them, it only finds its own entry gone when it acknowledges it.
    """
    OrmQ.objects.filter(key=queue, lock__gt=timezone.now()).delete()


def _offered_ids() -> set[int]:
    entries = OrmQ.objects.filter(lock__lte=timezone.now())
    return {
        entry.task["args"][0]
        for entry in entries.iterator()
        if entry.task.get("func") == services.RUN_JOB
    }
