from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from finwave.http import AuthenticatedRequest
from populations.access import population_for, population_for_training
from snapshots import access
from snapshots.queries.deployments import gallery_annotations
from snapshots.services import deployments


@require_GET
@login_required
def deployment_detail(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = population_for(request.user, slug)
    deployment = access.deployment_in(population, pk)

    gallery = gallery_annotations(population.pk).filter(
        embeddings__deployment=deployment
    )

    return render(
        request,
        "snapshots/deployment_detail.html",
        {
            "population": population,
            "section": "models",
            "deployment": deployment,
            "snapshot": deployment.snapshot,
            "job": deployment.job,
            "n_crops": gallery.count(),
            "n_individuals": gallery.values("individual").distinct().count(),
        },
    )


@require_POST
@login_required
def deployment_retire(
    request: AuthenticatedRequest, slug: str, pk: int
) -> HttpResponse:
    population = population_for_training(request.user, slug)
    deployment = access.deployment_in(population, pk)

    deployments.retire_deployment(deployment=deployment)

    messages.success(
        request, "The model is out of service. New encounters wait for hand labels."
    )
    return redirect("snapshots:deployment-detail", slug, pk)
