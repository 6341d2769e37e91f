from __future__ import annotations

import csv

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
)

from finwave.http import AuthenticatedRequest
from populations import access
from populations.exceptions import ImportRefused
from populations.forms.imports import (
    ImportForm,
    MappingForm,
    OutcomeFilterForm,
    StagedFilesForm,
)
from populations.models import ImportBatch
from populations.queries import imports as queries
from populations.services import imports as services

BATCHES_A_PAGE = 30
FILES_A_PAGE = 100


@require_GET
@login_required
def import_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)

    batches = queries.batches_of(population)
    page = Paginator(batches, BATCHES_A_PAGE).get_page(request.GET.get("page"))

    context = {"population": population, "section": "photos", "page_obj": page}
    return render(request, "populations/import_list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def import_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)

    roots = [str(root) for root in settings.FINWAVE_IMPORT_ROOTS]
    form = ImportForm(
        request.POST or None, request.FILES or None, user=request.user, roots=roots
    )

    if form.is_valid():
        try:
            batch = services.open_import(
                population=population, user=request.user, said=form.said()
            )
        except ImportRefused as error:
            form.add_error(None, str(error))
        else:
            return redirect("populations:import-detail", slug=slug, pk=batch.pk)

    context = {"population": population, "section": "photos", "form": form}
    return render(
        request,
        "populations/import_form.html",
        context,
        status=422 if form.is_bound else 200,
    )


@require_GET
@login_required
def import_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    form = OutcomeFilterForm(request.GET)

    context = {"population": population, "section": "photos", "batch": batch}
    if batch.status != ImportBatch.Status.STARTED:
        context["mapping"] = MappingForm(batch=batch)
        return render(request, "populations/import_preview.html", context)
    outcome = form.outcome_chosen()
    files = queries.files_of(batch, outcome)
    counts = queries.outcome_counts(batch)
    context |= {
        "job": batch.job,
        "outcome": outcome,
        "counts": counts,
        "n_imported": sum(c.n for c in counts if c.value == "imported"),
        "n_left": sum(c.n for c in counts if c.value in ("waiting", "refused")),
        "is_kept": services.is_kept(batch),
        "page_obj": Paginator(files, FILES_A_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "populations/import_detail.html", context)


@require_POST
@login_required
def import_files(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    form = StagedFilesForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"error": "A file arrived empty or broken."}, status=422)

    try:
        refused = services.stage_uploads(batch=batch, said=form.said())
    except ImportRefused as error:
        return JsonResponse({"error": str(error)}, status=409)

    return JsonResponse({"refused": refused})


@require_POST
@login_required
def import_preview(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    form = MappingForm(request.POST, batch=batch)

    if form.is_bound and form.is_valid():
        batch = form.apply_to(batch)
    try:
        services.prepare_preview(batch=batch)
    except ImportRefused as error:
        messages.error(request, str(error))

    return redirect("populations:import-detail", slug=slug, pk=pk)


@require_POST
@login_required
def import_start(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    try:
        services.start_import(batch=batch, user=request.user)
    except ImportRefused as error:
        messages.error(request, str(error))

    return redirect("populations:import-detail", slug=slug, pk=pk)


@require_POST
@login_required
def import_retry(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    try:
        services.retry_import(batch=batch, user=request.user)
    except ImportRefused as error:
        messages.error(request, str(error))

    return redirect("populations:import-detail", slug=slug, pk=pk)


@require_POST
@login_required
def import_discard(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    try:
        services.discard_batch(batch=batch)
    except ImportRefused as error:
        messages.error(request, str(error))
        return redirect("populations:import-detail", slug=slug, pk=pk)

    return redirect("populations:import-list", slug=slug)


@require_GET
@login_required
def import_outcomes(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    batch = access.import_batch_in(population, pk)

    rows = queries.outcome_rows(batch)

    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{batch.pk}.csv"'
    csv.writer(response).writerows(rows)
    return response
