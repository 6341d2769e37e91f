from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from finwave.http import AuthenticatedRequest
from populations import access
from populations.forms.photos import PhotoFilterForm
from populations.queries import photos as queries
from populations.queries.crops import boxes_of

PHOTOS_A_PAGE = 60


@require_GET
@login_required
@vary_on_headers("HX-Request")
def photo_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    form = PhotoFilterForm(request.GET, population=population)

    photos = queries.photos_of(population, form.chosen())
    page = Paginator(photos, PHOTOS_A_PAGE).get_page(request.GET.get("page"))

    template = "populations/photo_list.html"
    if request.htmx.trigger == "photo-more":
        template += "#tiles"
    context = {
        "population": population,
        "section": "photos",
        "form": form,
        "chips": form.chips(),
        "page_obj": page,
        "query": form.query(),
    }
    return render(request, template, context)


@require_GET
@login_required
def photo_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for(request.user, slug)
    photo = access.photo_in(population, pk)

    form = PhotoFilterForm(request.GET, population=population)

    context = {
        "population": population,
        "section": "photos",
        "photo": photo,
        "query": form.query(),
        "neighbours": queries.neighbours_of(
            photo, queries.photos_of(population, form.chosen())
        ),
        "labels": queries.labels_of(photo),
        "found": boxes_of(photo),
    }
    return render(request, "populations/photo_detail.html", context)
