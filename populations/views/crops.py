from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finwave.http import AuthenticatedRequest
from populations import access
from populations.exceptions import DecisionRefused, NotRescuable
from populations.forms.crops import CropFilterForm, RelabelForm, UndoForm
from populations.forms.detection import RescueForm
from populations.queries import crops as queries
from populations.queries.media import Picture
from populations.services import decisions
from populations.views.media import answer_with
from populations.views.undo import back_to, offer_undo

CROPS_A_PAGE = 60
# An address without the crop's hash shows another picture once its box was moved.
CACHE_SHORTLY = "private, max-age=60"


@require_GET
@login_required
def crop_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    form = CropFilterForm(request.GET, population=population)

    chosen = form.chosen()
    page = Paginator(queries.crops_of(population, chosen), CROPS_A_PAGE).get_page(
        request.GET.get("page")
    )
    individuals = Paginator(queries.individual_counts(population), 200).get_page(1)

    context = {
        "population": population,
        "section": "training-data",
        "form": form,
        "chosen": chosen,
        "page_obj": page,
        "individuals": individuals,
    }
    return render(request, "populations/crop_list.html", context)


@require_GET
@login_required
def annotation_crop(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for(request.user, slug)
    annotation = access.annotation_in(population, pk)

    name = annotation.crop.name

    response = answer_with(Picture(name, "image/jpeg") if name else None)
    if "v" not in request.GET:
        response["Cache-Control"] = CACHE_SHORTLY
    return response


@require_POST
@login_required
def photo_rescue(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)
    photo = access.photo_in(population, pk)

    form = RescueForm(request.POST)

    if form.is_valid():
        chosen = form.cleaned_data
        detection = get_object_or_404(photo.detections, pk=chosen["detection"])
        individual = chosen["individual"] and access.individual_in(
            population, chosen["individual"]
        )
        try:
            before = decisions.choose_box(
                photo=photo,
                detection=detection,
                individual=individual or None,
                user=request.user,
            )
            offer_undo(request, population, before, "This box is the crop now.")
        except NotRescuable as error:
            messages.error(request, str(error))

    return redirect("populations:photo-detail", slug, pk)


@require_POST
@login_required
def annotation_drop(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)
    annotation = access.annotation_in(population, pk)

    before = decisions.drop_crop(annotation=annotation, user=request.user)
    offer_undo(request, population, before, "The crop was dropped.")

    return redirect(back_to(request, population, annotation.photo))


@require_POST
@login_required
def annotation_restore(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)
    annotation = access.annotation_in(population, pk)

    try:
        before = decisions.restore_crop(annotation=annotation, user=request.user)
        offer_undo(request, population, before, "The crop is back.")
    except DecisionRefused as error:
        messages.error(request, str(error))

    return redirect(back_to(request, population, annotation.photo))


@require_http_methods(["GET", "POST"])
@login_required
def annotation_relabel(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)
    annotation = access.annotation_in(population, pk)

    individual = annotation.individual
    form = RelabelForm(
        request.POST or None,
        population=population,
        initial={
            "code": individual.code if individual else "",
            "side": annotation.side,
        },
    )

    if request.method == "POST" and form.is_valid():
        try:
            before = decisions.relabel_crop(
                annotation=annotation,
                individual=form.cleaned_data["individual"],
                new_code=form.cleaned_data["code"],
                side=form.cleaned_data["side"],
                user=request.user,
            )
            offer_undo(request, population, before, "The crop has its new label.")
            return redirect(back_to(request, population, annotation.photo))
        except DecisionRefused as error:
            form.add_error("code", str(error))

    context = {
        "population": population,
        "section": "training-data",
        "annotation": annotation,
        "form": form,
        "codes": population.individuals.values_list("code", flat=True),
        "next": back_to(request, population, annotation.photo),
    }
    status = 422 if form.is_bound else 200
    return render(
        request, "populations/annotation_relabel.html", context, status=status
    )


@require_POST
@login_required
def annotation_undo(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)

    form = UndoForm(request.POST)

    photo = None
    if form.is_valid():
        try:
            photo = decisions.undo_decision(
                population=population, before=form.cleaned_data["before"]
            )
            messages.success(request, "That was undone.")
        except DecisionRefused as error:
            messages.error(request, str(error))
    else:
        messages.error(request, "This decision can no longer be undone from here.")

    return redirect(back_to(request, population, photo))
