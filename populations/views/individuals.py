from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from finwave.http import AuthenticatedRequest
from populations import access
from populations.forms.catalogue import IndividualForm, SearchForm
from populations.queries import catalogue as queries

INDIVIDUALS_A_PAGE = 48
PHOTOS_A_PAGE = 60


@require_GET
@login_required
def individual_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for(request.user, slug)

    form = SearchForm(request.GET)

    individuals = queries.individuals_of(population, form.text())
    page = Paginator(individuals, INDIVIDUALS_A_PAGE).get_page(request.GET.get("page"))

    context = {
        "population": population,
        "section": "catalogue",
        "form": form,
        "text": form.text(),
        "page_obj": page,
    }
    return render(request, "populations/individual_list.html", context)


@require_GET
@login_required
def individual_detail(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = access.population_for(request.user, slug)
    individual = access.individual_in(population, pk)

    photos = queries.labelled_photos_of(individual)
    page = Paginator(photos, PHOTOS_A_PAGE).get_page(request.GET.get("page"))

    context = {
        "population": population,
        "section": "catalogue",
        "individual": individual,
        "aliases": individual.aliases.order_by("code"),
        "sides": queries.pictures_by_side(individual),
        "encounters": queries.encounters_with(individual),
        "page_obj": page,
    }
    return render(request, "populations/individual_detail.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def individual_edit(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_annotating(request.user, slug)
    individual = access.individual_in(population, pk)

    form = IndividualForm(request.POST or None, instance=individual)

    if form.is_valid():
        form.save()
        return redirect("populations:individual-detail", slug=slug, pk=pk)

    context = {
        "population": population,
        "section": "catalogue",
        "individual": individual,
        "form": form,
    }
    return render(
        request,
        "populations/individual_form.html",
        context,
        status=422 if form.is_bound else 200,
    )
