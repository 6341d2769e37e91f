"""What can be trained."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finwave.http import AuthenticatedRequest
from populations import access
from training import queries


@require_GET
@login_required
def pipeline_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)
    return render(
        request,
        "training/pipeline_list.html",
        {
            "population": population,
            "section": "models",
            "readiness": queries.readiness(population),
            "recent_jobs": queries.jobs_of(population)[:5],
            "recent_sets": queries.sets_of(population)[:5],
        },
    )
