from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finwave.http import AuthenticatedRequest
from populations import access
from populations.queries import overview as queries


@require_GET
@login_required
def population_overview(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    overview = queries.overview_of(population)

    return render(
        request,
        "populations/population_overview.html",
        {"population": population, "section": "overview", "overview": overview},
    )
