"""The one entry point of the queue: claim a job, run its handler, write the end."""

from __future__ import annotations

import logging

from finwave.jobs import kinds, services
from finwave.jobs.exceptions import Interrupted, JobError, LeaseLost
from finwave.jobs.models import Job
from finwave.jobs.running import JobRun

logger = logging.getLogger(__name__)


def run_job(job_id: int) -> None:
    """Run one job to an end, or leave quietly if it is not to be had."""
    token = services.claim(job_id)
    if token is None:
        return
    job = Job.objects.get(pk=job_id)
    try:
        with JobRun(job, token) as run:
            kinds.get(job.kind).run(run)
            stopped = run.is_stop_requested()
        status = Job.Status.STOPPED if stopped else Job.Status.COMPLETED
        services.finish(job_id, token, status)
    except LeaseLost:
        logger.warning("job=%s lease lost", job_id)
    except Interrupted as interruption:
        services.requeue(job, reason=str(interruption), progressed=True)
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
