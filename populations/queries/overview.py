"""The overview's figures: this app's share of the stations, and the jobs below."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, Value
from django.urls import reverse

from finwave.jobs.models import Job
from populations import stations
from populations.models import Annotation, Individual, Photo, Population
from populations.models.photos import Tier
from populations.queries.jobs import page_of
from populations.stations import Contribution, Figure, Station, Step

N_LATELY = 8
N_NEWEST = 12
WATCHED = {
    "populations.demo": "Watch the rendering",
    "populations.import": "Watch the import",
    "populations.detection": "Watch the detection",
}


@dataclass(frozen=True, slots=True)
class Overview:
    path: list[Station]
    next_step: Step | None
    running: list[Job]
    lately: list[Job]
    newest: list[Photo]


def overview_of(population: Population) -> Overview:
    """Gather everything on the overview page, in a constant number of queries."""
    path = stations.stations_of(population)
    jobs = (
        Job.objects.in_scope(population.pk)
        .select_related("created_by")
        .annotate(scope_slug=Value(population.slug))
    )
    return Overview(
        path=path,
        next_step=stations.next_step(path, population.role),
        running=list(jobs.unfinished()),
        lately=list(
            jobs.filter(status__in=Job.TERMINAL).order_by("-finished_at")[:N_LATELY]
        ),
        newest=list(
            Photo.objects.filter(population=population).prefetch_related(
                "labels__individual"
            )[:N_NEWEST]
        ),
    )


def photos(population: Population) -> Contribution:
    counts = Photo.objects.filter(population=population).aggregate(
        all=Count("pk"), unseen=Count("pk", filter=Q(n_detections__isnull=True))
    )
    step = watching(population)
    if step is None and not counts["all"]:
        step = Step(
            "Bring photographs in",
            reverse("populations:import-create", args=[population.slug]),
        )
    elif step is None and counts["unseen"]:
        step = Step(
            "Start detection",
            reverse("populations:detection-run-create", args=[population.slug]),
        )
    figures = [Figure(counts["all"], "photographs")]
    if counts["all"] and counts["unseen"]:
        figures.append(Figure(counts["unseen"], "without detection"))
    return Contribution(
        figures=tuple(figures),
        url=reverse("populations:photo-list", args=[population.slug]),
        step=step,
    )


def watching(population: Population) -> Step | None:
    """While photographs come in or are looked at, the next step is to watch that."""
    job = (
        Job.objects.in_scope(population.pk)
        .unfinished()
        .filter(kind__in=WATCHED)
        .annotate(scope_slug=Value(population.slug))
        .first()
    )
    if job is None:
        return None
    overview = reverse("populations:population-overview", args=[population.slug])
    page = page_of(job)
    return Step(
        WATCHED[job.kind], page if page != overview else f"{page}#running", role=1
    )


def training_data(population: Population) -> Contribution:
    tiers = dict(
        Photo.objects.filter(population=population, tier__isnull=False)
        .order_by()
        .values_list("tier")
        .annotate(n=Count("pk"))
    )
    n_crops = Annotation.objects.for_population(population).training_data().count()
    step = None
    if tiers and not n_crops:
        step = Step(
            "Look at tier 3",
            reverse("populations:photo-list", args=[population.slug]) + "?tier=3",
            role=2,
        )
    return Contribution(
        figures=(
            Figure(n_crops, "crops"),
            *(Figure(tiers.get(tier, 0), tier.label, tier=tier.value) for tier in Tier),
        ),
        url=reverse("populations:crop-list", args=[population.slug]),
        step=step,
    )


def individuals(population: Population) -> Contribution:
    n_individuals = Individual.objects.filter(population=population).count()
    return Contribution(
        figures=(Figure(n_individuals, "individuals"),),
        url=reverse("populations:individual-list", args=[population.slug]),
    )
