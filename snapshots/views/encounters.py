from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from finwave.http import AuthenticatedRequest
from populations.access import encounter_in, population_for_annotating
from populations.services.detectors import default_for
from snapshots.forms import EncounterForm
from snapshots.queries.deployments import active_deployment
from snapshots.services import onboarding


@require_http_methods(["GET", "POST"])
@login_required
def encounter_create(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = population_for_annotating(request.user, slug)

    rendered = onboarding.rendered_encounters(population)
    form = EncounterForm(
        request.POST or None,
        request.FILES or None,
        population=population,
        rendered=[(one.name, f"{one.name}, {one.n_photos} photos") for one in rendered],
    )

    if request.method == "POST" and form.is_valid():
        encounter = onboarding.upload_encounter(
            population=population,
            user=request.user,
            details=form.details,
            files=form.uploads,
            rendered=form.cleaned_data.get("rendered") or "",
        )
        return redirect("snapshots:encounter-review", slug, encounter.pk)

    return render(
        request,
        "snapshots/encounter_form.html",
        {
            "population": population,
            "section": "encounters",
            "form": form,
            "deployment": active_deployment(population.pk),
            "detector": default_for(population),
        },
        status=422 if form.is_bound else 200,
    )


@require_POST
@login_required
def encounter_identify(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = population_for_annotating(request.user, slug)
    encounter = encounter_in(population, pk)

    onboarding.onboard_encounter(encounter=encounter, user=request.user)

    messages.info(request, "Identification has started; answers that are given stay.")
    return redirect("snapshots:encounter-review", slug, pk)
