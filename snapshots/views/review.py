"""Answering who the animals of an encounter are.

Every answer is a plain form post that redirects to the next animal; with htmx the same
redirect is followed and only the workspace is swapped.
"""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import push_url

from finwave.http import AuthenticatedRequest
from populations.access import (
    Role,
    encounter_in,
    population_for,
    population_for_annotating,
)
from populations.models import Encounter, Sighting
from snapshots import access
from snapshots.exceptions import IdentificationError, UnknownCode
from snapshots.forms import AnimalForm, CodeForm, CropForm, OtherAnimalForm, RankForm
from snapshots.models import Identification
from snapshots.queries import review as queries
from snapshots.services import codes
from snapshots.services import identification as services


@require_GET
@login_required
@vary_on_headers("HX-Request")
def encounter_review(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for(request.user, slug)
    encounter = encounter_in(population, pk)

    form = AnimalForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}

    review = queries.review_of(encounter, asked.get("animal"))
    onboarding = access.onboarding_in(population, encounter.pk)

    template = "snapshots/encounter_review.html"
    if request.htmx and request.htmx.target == "review":
        template += "#workspace"
    code = asked.get("code") or ""
    response = render(
        request,
        template,
        {
            "population": population,
            "section": "encounters",
            "encounter": encounter,
            "onboarding": onboarding,
            "job": onboarding.job if onboarding else None,
            "troubles": queries.troubles(onboarding),
            "review": review,
            "just_answered": asked.get("done"),
            "code": code,
            "near": codes.near_codes(population, code) if code else [],
            "codes": queries.codes(population),
            "next_code": codes.next_code(population),
            "may_answer": population.role >= Role.ANNOTATOR,
        },
    )
    return push_url(response, request.get_full_path())


@require_POST
@login_required
def sighting_accept(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    form = RankForm(request.POST)
    rank = form.cleaned_data["rank"] if form.is_valid() else 0
    suggestion = get_object_or_404(
        sighting.suggestions.select_related("individual"), rank=rank
    )

    return _answered(
        request,
        sighting,
        lambda: services.accept(
            sighting=sighting, suggestion=suggestion, user=request.user
        ),
    )


@require_POST
@login_required
def sighting_choose(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    code = _code(CodeForm(request.POST))

    return _answered(
        request,
        sighting,
        lambda: services.choose(sighting=sighting, code=code, user=request.user),
    )


@require_POST
@login_required
def sighting_new(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    code = _code(CodeForm(request.POST))

    return _answered(
        request,
        sighting,
        lambda: services.name_new(sighting=sighting, code=code, user=request.user),
    )


@require_POST
@login_required
def sighting_skip(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    return _answered(
        request,
        sighting,
        lambda: services.skip(sighting=sighting, user=request.user),
    )


@require_POST
@login_required
def identification_undo(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = population_for_annotating(request.user, slug)
    identification = access.identification_in(population, pk)

    try:
        services.undo(identification=identification)
    except IdentificationError as error:
        messages.error(request, str(error))

    sighting = identification.sighting
    return redirect(_review_url(sighting.encounter, animal=sighting.number))


@require_POST
@login_required
def sighting_split(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    form = CropForm(request.POST)
    crop = access.crop_in(sighting, form.cleaned_data["crop"] if form.is_valid() else 0)

    try:
        new = services.split(annotation=crop, user=request.user)
    except IdentificationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The crop is animal {new.number} now.")

    return redirect(_review_url(sighting.encounter, animal=sighting.number))


@require_POST
@login_required
def sighting_merge(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    sighting = _sighting(request, slug, pk)

    form = OtherAnimalForm(request.POST)
    number = form.cleaned_data["animal"] if form.is_valid() else 0
    other = get_object_or_404(sighting.encounter.sightings, number=number)

    try:
        services.merge(sighting=sighting, other=other, user=request.user)
    except IdentificationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Animal {number} is part of this one now.")

    return redirect(_review_url(sighting.encounter, animal=sighting.number))


def _sighting(request: AuthenticatedRequest, slug: str, pk: int) -> Sighting:
    return access.sighting_in(population_for_annotating(request.user, slug), pk)


def _code(form: forms.Form) -> str:
    # An empty or overlong code is refused by the service, with its sentence.
    return form.cleaned_data["code"] if form.is_valid() else ""


def _answered(
    request: AuthenticatedRequest,
    sighting: Sighting,
    answer: Callable[[], Identification],
) -> HttpResponse:
    """Give the answer and go on to the next animal, or stay and say what is wrong."""
    try:
        identification = answer()
    except UnknownCode as error:
        # The page itself says so, and offers the codes that look like it.
        return redirect(
            _review_url(sighting.encounter, animal=sighting.number, code=error.code)
        )
    except IdentificationError as error:
        messages.error(request, str(error))
        return redirect(_review_url(sighting.encounter, animal=sighting.number))
    following = queries.next_waiting(sighting)
    return redirect(
        _review_url(
            sighting.encounter,
            animal=following.number if following else sighting.number,
            done=identification.pk,
        )
    )


def _review_url(encounter: Encounter, **query: str | int) -> str:
    url = reverse(
        "snapshots:encounter-review", args=[encounter.population.slug, encounter.pk]
    )
    return f"{url}?{urlencode(query)}"
