"""What this app adds to the overview's path."""

from __future__ import annotations

from django.db.models import Count, Q
from django.urls import reverse

from populations.access import Role
from populations.models import Population, Sighting
from populations.stations import Contribution, Figure, Step
from snapshots.models import Deployment, Snapshot


def model(population: Population) -> Contribution:
    n_snapshots = Snapshot.objects.for_population(population).count()
    deployment = (
        Deployment.objects.filter(
            population=population, status=Deployment.Status.ACTIVE
        )
        .select_related("snapshot__model")
        .first()
    )
    url = reverse("snapshots:model-list", args=[population.slug])
    figures = [Figure(n_snapshots, "snapshot" if n_snapshots == 1 else "snapshots")]
    if deployment:
        figures.append(Figure(deployment.snapshot.model.name, "deployed"))
    step = None
    newest = Snapshot.objects.for_population(population).first()
    if newest and not deployment:
        timeline = reverse(
            "snapshots:model-detail", args=[population.slug, newest.model_id]
        )
        step = Step("Deploy a snapshot", f"{timeline}?snapshot={newest.pk}")
    return Contribution(figures=tuple(figures), url=url, step=step)


def encounters(population: Population) -> Contribution:
    counts = Sighting.objects.filter(encounter__population=population).aggregate(
        waiting=Count("pk", filter=Q(status=Sighting.Status.WAITING)),
        encounters=Count(
            "encounter", filter=Q(status=Sighting.Status.WAITING), distinct=True
        ),
    )
    first = (
        Sighting.objects.filter(
            encounter__population=population, status=Sighting.Status.WAITING
        )
        .order_by("encounter_id", "number")
        .first()
    )
    if first:
        url = reverse(
            "snapshots:encounter-review", args=[population.slug, first.encounter_id]
        )
        step = Step("Review an encounter", url, Role.ANNOTATOR)
    else:
        url = reverse("snapshots:encounter-create", args=[population.slug])
        step = Step("Upload an encounter", url, Role.ANNOTATOR)
    return Contribution(
        figures=(
            Figure(counts["encounters"], "to review"),
            Figure(counts["waiting"], "animals waiting"),
        ),
        url=reverse("populations:encounter-list", args=[population.slug]),
        step=step,
    )
