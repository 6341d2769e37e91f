from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finwave.http import AuthenticatedRequest
from populations import access
from populations.forms.catalogue import SearchForm
from populations.queries import catalogue as queries

ENCOUNTERS_A_PAGE = 50
PHOTOS_A_PAGE = 60


@require_GET
@login_required
def encounter_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    form = SearchForm(request.GET)

    encounters = queries.encounters_of(population, form.text())
    page = Paginator(encounters, ENCOUNTERS_A_PAGE).get_page(request.GET.get("page"))

    context = {
        "population": population,
        "section": "encounters",
        "form": form,
        "text": form.text(),
        "page_obj": page,
    }
    return render(request, "populations/encounter_list.html", context)


@require_GET
@login_required
def encounter_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for(request.user, slug)
    encounter = access.encounter_in(population, pk)

    photos = queries.photos_in(encounter)
    page = Paginator(photos, PHOTOS_A_PAGE).get_page(request.GET.get("page"))

    context = {
        "population": population,
        "section": "encounters",
        "encounter": encounter,
        "page_obj": page,
        "sightings": queries.sightings_in(encounter),
        "individuals": queries.individuals_seen_in(encounter),
    }
    return render(request, "populations/encounter_detail.html", context)
