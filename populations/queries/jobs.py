"""What this app knows of its jobs: where each kind has its page."""

from __future__ import annotations

from django.urls import reverse

from finwave.jobs.models import Job
from populations.models import Population

PAGES = {
    "populations.import": "populations:import-detail",
    "populations.detection": "populations:detection-run-detail",
}


def page_of(job: Job) -> str:
    """Return the page of what the job is about.

    Note:
        Costs one query, unless the job was read with its population's slug as
        `scope_slug`.
    """
    slug = getattr(job, "scope_slug", None) or slug_of(job)
    if slug is None:
        return reverse("populations:population-list")
    if job.kind in PAGES:
        return reverse(PAGES[job.kind], args=[slug, job.subject_id])
    if job.kind == "populations.detector-check":
        return reverse("populations:detector-list", args=[slug])
    if job.kind == "populations.retier":
        return reverse("populations:threshold-edit", args=[slug])
    return reverse("populations:population-overview", args=[slug])


def slug_of(job: Job) -> str | None:
    populations = Population.objects.filter(pk=job.scope_id)
    return populations.values_list("slug", flat=True).first()
