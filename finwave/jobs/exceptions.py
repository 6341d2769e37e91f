"""What can go wrong with a job, each a sentence for the user."""

from __future__ import annotations


class JobError(Exception):
    """A job ends as failed with this message; it is not tried again."""


class JobNotStoppable(JobError):
    """The job has ended already."""


class LeaseLost(Exception):
    """Somebody else holds the job now: leave at once and write nothing more."""


class Interrupted(Exception):
    """The worker shuts down: the job goes back to the queue and resumes later."""


class ProcessDied(Interrupted):
    """The job's process was killed: it resumes, but too many in a row end the job."""
