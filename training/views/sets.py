"""Frozen training sets."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from finwave.http import AuthenticatedRequest
from populations import access
from training import queries
from training.access import training_set_in
from training.exceptions import TrainingRefused
from training.forms import TrainingSetForm
from training.services.sets import freeze_training_set

PER_PAGE = 50
CROPS_PER_PAGE = 120


@require_GET
@login_required
def training_set_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)
    page = Paginator(queries.sets_of(population), PER_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "training/set_list.html",
        {"population": population, "section": "models", "page_obj": page},
    )


@require_http_methods(["GET", "POST"])
@login_required
def training_set_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    form = TrainingSetForm(request.POST or None, population=population)
    if form.is_valid():
        try:
            training_set = freeze_training_set(
                population=population,
                name=form.cleaned_data["name"],
                user=request.user,
                min_crops=form.cleaned_data["min_crops"],
            )
            return redirect("training:training-set-detail", slug, training_set.pk)
        except TrainingRefused as refusal:
            form.add_error(None, str(refusal))
    return render(
        request,
        "training/set_form.html",
        {"population": population, "section": "models", "form": form},
        status=422 if form.errors else 200,
    )


@require_GET
@login_required
def training_set_detail(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for(request.user, slug)
    training_set = training_set_in(population, pk)
    page = Paginator(queries.items_of(training_set), CROPS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "training/set_detail.html",
        {
            "population": population,
            "section": "models",
            "training_set": training_set,
            "page_obj": page,
            "individuals": queries.crops_per_individual(training_set),
            "jobs": queries.jobs_of(population).filter(training_set=training_set)[:20],
        },
    )
