"""What templates ask about a job."""

from __future__ import annotations

from django import template
from django.contrib.auth.models import AnonymousUser, User

from finwave.jobs import access, kinds
from finwave.jobs.models import Job

register = template.Library()


@register.filter
def stoppable_by(job: Job, user: User | AnonymousUser) -> bool:
    """Tell whether the user may stop the job now; asks once a kind and scope."""
    if job.is_finished or job.stop_requested_at:
        return False
    answers = user.__dict__.setdefault("_stoppable_jobs", {})
    key = (job.kind, job.scope_id)
    if key not in answers:
        answers[key] = access.can_stop(user, job)
    return bool(answers[key])


@register.filter
def page(job: Job) -> str:
    """Return the address of the page of the job's subject."""
    return kinds.get(job.kind).page(job) if kinds.is_known(job.kind) else ""


@register.filter
def state(job: Job) -> str:
    """Name the state that people are told: a queued job that is to stop is stopping."""
    if job.stop_requested_at and not job.is_finished:
        return Job.Status.STOPPING.value
    return job.status


@register.filter
def state_label(job: Job) -> str:
    return str(Job.Status(state(job)).label)
