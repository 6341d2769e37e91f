"""Training jobs: start one, watch one, look back."""

from __future__ import annotations

import csv

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from finwave.http import AuthenticatedRequest
from populations import access
from populations.models import Membership
from training import queries
from training.access import training_job_in
from training.exceptions import TrainingRefused
from training.forms import TrainingJobForm
from training.labels import ARCHITECTURES
from training.services.jobs import start_training_job
from training.services.sets import set_for_job

PER_PAGE = 50
PARTS = {"monitor-reading": "#reading", "monitor-examples": "#examples"}


@require_GET
@login_required
def job_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)
    page = Paginator(queries.jobs_of(population), PER_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "training/job_list.html",
        {"population": population, "section": "models", "page_obj": page},
    )


@require_http_methods(["GET", "POST"])
@login_required
def job_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    preset = request.GET.get("preset", "laptop")
    form = TrainingJobForm(
        request.POST or None,
        population=population,
        preset=preset,
        initial=queries.job_initial(population, request.GET),
    )
    if form.is_valid():
        try:
            training_job = start_training_job(
                population=population,
                training_set=set_for_job(
                    population=population,
                    training_set=form.cleaned_data["training_set"],
                    min_crops=form.cleaned_data["min_crops"],
                    user=request.user,
                ),
                config=form.config,
                user=request.user,
                model_name=form.cleaned_data["model_name"],
                from_snapshot=form.cleaned_data["from_snapshot"],
                continue_model=form.cleaned_data["continue_model"],
            )
            return redirect("training:job-detail", slug, training_job.pk)
        except TrainingRefused as refusal:
            form.add_error(None, str(refusal))
    return render(
        request,
        "training/job_form.html",
        {
            "population": population,
            "section": "models",
            "form": form,
            "preset": preset,
            "presets": queries.presets(),
            "architectures": ARCHITECTURES,
            "readiness": queries.readiness(population),
            "estimate": queries.estimate_text(population),
            "free_bytes": queries.free_bytes(),
        },
        status=422 if form.errors else 200,
    )


@require_GET
@login_required
@vary_on_headers("HX-Request")
def job_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for(request.user, slug)
    training_job = training_job_in(population, pk)
    template = "training/job_detail.html"
    # The page asks for these parts anew after each epoch.
    if request.htmx and request.htmx.target in PARTS:
        template += PARTS[request.htmx.target]
    return render(
        request,
        template,
        {
            "population": population,
            "section": "models",
            "training_job": training_job,
            "job": training_job.job,
            "monitor": queries.monitor(training_job),
            "config": queries.config_rows(training_job),
            "can_stop": population.role >= Membership.Role.TRAINER,
        },
    )


@require_GET
@login_required
def job_metrics(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for(request.user, slug)
    training_job = training_job_in(population, pk)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="training-job-{training_job.pk}-epochs.csv"'
    )
    writer = csv.writer(response)
    names = queries.METRIC_COLUMNS
    writer.writerow(names)
    writer.writerows(training_job.epochs.values_list(*names))
    return response
