from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finwave.http import AuthenticatedRequest
from populations import access
from populations.exceptions import DetectorInUse, DetectorRefused
from populations.forms.detection import DetectorForm
from populations.queries import detection as queries
from populations.services import detectors

DETECTORS_A_PAGE = 24


@require_GET
@login_required
def detector_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    page = Paginator(queries.detectors_of(population), DETECTORS_A_PAGE).get_page(
        request.GET.get("page")
    )

    context = {
        "population": population,
        "section": "photos",
        "page_obj": page,
        "default": detectors.default_for(population),
    }
    return render(request, "populations/detector_list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def detector_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_training(request.user, slug)

    form = DetectorForm(request.POST or None, request.FILES or None)

    if request.method == "POST" and form.is_valid():
        try:
            detectors.upload_detector(
                population=population,
                name=form.cleaned_data["name"],
                file=form.cleaned_data["file"],
                user=request.user,
            )
            return redirect("populations:detector-list", slug)
        except DetectorRefused as error:
            form.add_error("file", str(error))

    context = {"population": population, "section": "photos", "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "populations/detector_form.html", context, status=status)


@require_POST
@login_required
def detector_set_default(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    detector = access.detector_in(population, pk)

    try:
        detectors.set_default(population=population, detector=detector)
        messages.success(request, f"New runs start with {detector.name}.")
    except DetectorRefused as error:
        messages.error(request, str(error))

    return redirect("populations:detector-list", slug)


@require_POST
@login_required
def detector_delete(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_training(request.user, slug)
    detector = access.detector_in(population, pk)

    try:
        detectors.delete_detector(detector=detector)
        messages.success(request, f"{detector.name} was deleted.")
    except DetectorInUse as error:
        messages.error(request, str(error))

    return redirect("populations:detector-list", slug)
