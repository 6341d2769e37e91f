"""Reads of detectors and detection runs."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict

from populations.models import DetectionRun, Detector, Photo, Population
from populations.models.photos import Tier

N_SAMPLES = 12


def detectors_of(population: Population) -> QuerySet[Detector]:
    """Return the detectors that may be used, with the number of this population's runs."""
    return (
        Detector.objects.usable_in(population)
        .select_related("job", "uploaded_by")
        .annotate(
            n_runs=Count("detectionrun", filter=Q(detectionrun__population=population))
        )
        .order_by("population_id", "-pk")
    )


def runs_of(population: Population) -> QuerySet[DetectionRun]:
    return population.detection_runs.select_related(
        "job", "detector", "created_by"
    ).defer("photo_ids")


@dataclass(frozen=True, slots=True)
class PhotoCounts:
    """How many photos each choice of a run would look at."""

    new: int
    new_cropped: int  # of these, imported as crops already
    all: int
    failed: int

    @property
    def are_new_cropped(self) -> bool:
        return 0 < self.new == self.new_cropped


def photo_counts(population: Population) -> PhotoCounts:
    counts = population.photos.aggregate(
        all=Count("pk"),
        new=Count("pk", filter=Q(tier__isnull=True)),
        new_cropped=Count(
            "pk", filter=Q(tier__isnull=True, import_batch__is_already_cropped=True)
        ),
        failed=Count("pk", filter=Q(tier_reason=Photo.TierReason.UNREADABLE)),
    )
    return PhotoCounts(**counts)


def asked_for(address: QueryDict) -> dict[str, str]:
    """Return what a link to the form of a new run chose beforehand."""
    names = ("which", "import_batch", "encounter", "ids")
    chosen = {name: str(address.get(name)) for name in names if address.get(name)}
    if "import_batch" in chosen:
        chosen.setdefault("which", "import")
    if "encounter" in chosen:
        chosen.setdefault("which", "encounter")
    if "ids" in chosen:
        chosen.setdefault("which", "ids")
    return chosen


@dataclass(frozen=True, slots=True)
class Results:
    """What a run found, as far as no later run replaced it."""

    n_total: int
    n_current: int
    n_boxes: int
    tiers: list[tuple[str, int]]
    samples: list[Photo]
    classes: list[str]

    @property
    def is_replaced(self) -> bool:
        return self.n_current < self.n_total


def results_of(run: DetectionRun) -> Results:
    photos = Photo.objects.filter(detection_run=run)
    by_tier = dict(photos.order_by().values_list("tier").annotate(n=Count("pk")))
    named = run.detector.classes if run.detector else {}
    return Results(
        n_total=len(run.photo_ids),
        n_current=sum(by_tier.values()),
        n_boxes=run.detections.count(),
        tiers=[(tier.label, by_tier.get(tier.value, 0)) for tier in Tier],
        samples=list(
            photos.filter(n_detections__gt=0)
            .prefetch_related("detections", "annotations")
            .order_by("-pk")[:N_SAMPLES]
        ),
        classes=[named.get(str(number), str(number)) for number in run.class_ids],
    )


def failed_photos(run: DetectionRun) -> QuerySet[Photo]:
    return Photo.objects.filter(
        detection_run=run, tier_reason=Photo.TierReason.UNREADABLE
    ).order_by("original_name")
