from __future__ import annotations

import csv

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finwave.http import AuthenticatedRequest
from populations import access
from populations.queries import report as queries


@require_GET
@login_required
def report(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    context = {
        "population": population,
        "section": "training-data",
        "report": queries.report_of(population),
    }
    return render(request, "populations/report.html", context)


@require_GET
@login_required
def report_csv(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    rows = queries.csv_rows(queries.report_of(population))

    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-report.csv"'
    csv.writer(response).writerows(rows)
    return response
