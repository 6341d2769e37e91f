"""The one entry point of the queue: claim a job, run its handler, write the end."""

from __future__ import annotations

import logging

from django.db import OperationalError

from finwave.jobs import kinds, services
from finwave.jobs.exceptions import Interrupted, JobError, LeaseLost, ProcessDied
from finwave.jobs.models import Job
from finwave.jobs.running import JobRun, shutting_down

logger = logging.getLogger(__name__)


def run_job(job_id: int) -> None:
    """Run one job to an end, or leave quietly if it is not to be had."""
    # What the queue had handed out already when the worker was told to end stays
    # queued; the next reconcile finds it without an entry and writes a new one.
    if shutting_down.is_set():
        return
    token = services.claim(job_id)
    if token is None:
        logger.info("job=%s not claimable", job_id)
        return
    job = Job.objects.get(pk=job_id)
    try:
        with JobRun(job, token) as run:
            kinds.get(job.kind).run(run)
    except LeaseLost:
        logger.warning("job=%s lease lost", job_id)
    except Interrupted as interruption:
        services.requeue(
            job_id,
            token,
            reason=str(interruption),
            is_orderly=not isinstance(interruption, ProcessDied),
        )
    except OperationalError as error:
        # A database locked for too long, restarted or full may be well again later.
        logger.exception("job=%s database not available", job_id)
        reason = f"The database was not available ({error}); it continues later."
        services.requeue(job_id, token, reason=reason, is_orderly=False)
    except JobError as error:
        services.finish(job_id, token, Job.Status.FAILED, str(error))
    except Exception as error:
        logger.exception("job=%s failed", job_id)
        services.finish(
            job_id,
            token,
            Job.Status.FAILED,
            f"An unexpected error ended this: {str(error) or type(error).__name__}. "
            "Its details are in the server's log.",
        )
        raise
    else:
        status = Job.Status.STOPPED if run.is_stopping else Job.Status.COMPLETED
        services.finish(job_id, token, status)
