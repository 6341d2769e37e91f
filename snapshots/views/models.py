from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from finwave.http import AuthenticatedRequest
from populations.access import population_for
from snapshots import access
from snapshots.forms import TimelineForm
from snapshots.queries import timeline

MODELS_PER_PAGE = 24


@require_GET
@login_required
def model_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = population_for(request.user, slug)

    form = TimelineForm(request.GET)
    number = form.cleaned_data["page"] if form.is_valid() else 1

    page = Paginator(timeline.model_rows(population), MODELS_PER_PAGE).get_page(number)

    return render(
        request,
        "snapshots/model_list.html",
        {
            "population": population,
            "section": "models",
            "page_obj": page,
            "rows": [timeline.model_row(model) for model in page],
        },
    )


@require_GET
@login_required
@vary_on_headers("HX-Request")
def model_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for(request.user, slug)
    model = access.model_in(population, pk)

    form = TimelineForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}

    page = timeline.timeline_page(model, asked.get("page"))
    nodes = timeline.nodes_of(list(page), model)

    template = "snapshots/model_detail.html"
    if request.htmx and request.htmx.target == "snapshot-card":
        template += "#card"
    return render(
        request,
        template,
        {
            "population": population,
            "section": "models",
            "model": model,
            "page_obj": page,
            "nodes": nodes,
            "node": timeline.chosen_node(nodes, asked.get("snapshot")),
        },
    )
