from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from finwave.http import AuthenticatedRequest
from populations import access
from populations.exceptions import NothingToDetect
from populations.forms.detection import DetectionRunForm
from populations.queries import detection as queries
from populations.services import detectors
from populations.services.detection import start_detection

RUNS_A_PAGE = 30


@require_GET
@login_required
def detection_run_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    page = Paginator(queries.runs_of(population), RUNS_A_PAGE).get_page(
        request.GET.get("page")
    )

    context = {"population": population, "section": "photos", "page_obj": page}
    return render(request, "populations/detection_run_list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def detection_run_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)

    counts = queries.photo_counts(population)
    form = DetectionRunForm(
        request.POST or None,
        population=population,
        initial={
            "detector": detectors.default_for(population),
            "which": "new" if counts.new else "all",
            "is_already_cropped": counts.are_new_cropped,
            **queries.asked_for(request.GET),
        },
    )

    if request.method == "POST" and form.is_valid():
        try:
            run = start_detection(
                population=population,
                detector=form.cleaned_data["detector"],
                photos=form.photos(),
                user=request.user,
                confidence=form.cleaned_data["confidence"],
                is_already_cropped=form.cleaned_data["is_already_cropped"],
                class_ids=form.cleaned_data["class_ids"],
            )
            return redirect("populations:detection-run-detail", slug, run.pk)
        except NothingToDetect as error:
            form.add_error(None, str(error))

    context = {
        "population": population,
        "section": "photos",
        "form": form,
        "counts": counts,
    }
    status = 422 if form.is_bound else 200
    return render(
        request, "populations/detection_run_form.html", context, status=status
    )


@require_GET
@login_required
def detection_run_detail(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for(request.user, slug)
    run = access.detection_run_in(population, pk)

    failed = Paginator(queries.failed_photos(run), 50).get_page(request.GET.get("page"))

    template = "populations/detection_run_detail.html"
    if request.htmx.target == "run-results":
        template += "#results"
    context = {
        "population": population,
        "section": "photos",
        "run": run,
        "job": run.job,
        "results": queries.results_of(run),
        "page_obj": failed,
    }
    return render(request, template, context)
