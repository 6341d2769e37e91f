"""Reads of crops: the grid of training data, and the boxes on one photo."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.expressions import OrderBy

from populations.models import (
    Annotation,
    Detection,
    Encounter,
    Individual,
    Photo,
    Population,
)


@dataclass(frozen=True, slots=True)
class CropFilter:
    """What the grid shows; empty fields do not restrict."""

    individual: Individual | None = None
    tier: str = ""
    side: str = ""
    state: str = ""  # "" kept, "dropped", "all"
    order: str = "thin"


# Crops without a name come last: they teach nothing.
BY_CODE = F("individual__code_sort").asc(nulls_last=True)
ORDERS: dict[str, tuple[OrderBy | str, ...]] = {
    "thin": ("is_nameless", "n_of_individual", BY_CODE, "-pk"),
    "code": (BY_CODE, "-pk"),
    "new": ("-pk",),
    "blurred": ("sharpness", "pk"),
    "small": ("crop_height_px", "crop_width_px", "pk"),
}


def crops_of(population: Population, chosen: CropFilter) -> QuerySet[Annotation]:
    """Return the crops that fit, in their order, ready to be shown."""
    crops = (
        Annotation.objects.for_population(population)
        .filter(~under_identification() | Q(evidence__in=Annotation.TRUSTED))
        .select_related("individual", "photo")
    )
    if chosen.state != "all":
        crops = crops.filter(is_dropped=chosen.state == "dropped")
    if chosen.tier:
        crops = crops.filter(photo__tier=chosen.tier)
    if chosen.side:
        crops = crops.filter(side=chosen.side)
    crops = crops.annotate(
        n_of_individual=Window(Count("pk"), partition_by=F("individual")),
        is_nameless=Q(individual__isnull=True),
    )
    if chosen.individual:
        crops = crops.filter(individual=chosen.individual)
    return crops.order_by(*ORDERS[chosen.order])


def under_identification() -> Q:
    """Crops of encounters that were uploaded to be identified, on a page of their own."""
    return Q(photo__encounter__origin=Encounter.Origin.ONBOARDED)


def individual_counts(
    population: Population,
) -> QuerySet[Individual, tuple[int, str, int]]:
    """Return id, code and number of crops of the individuals, fewest crops first."""
    return (
        population.individuals.annotate(
            n_crops=Count(
                "annotations",
                filter=Q(
                    annotations__is_dropped=False,
                    annotations__evidence__in=Annotation.TRUSTED,
                ),
            )
        )
        .order_by("n_crops", "code_sort")
        .values_list("pk", "code", "n_crops")
    )


@dataclass(frozen=True, slots=True)
class Box:
    """One current detection of a photo, as its page shows it."""

    detection: Detection
    number: int  # the key that chooses it, from 1
    annotation: Annotation | None

    @property
    def name(self) -> str:
        return f"{self.number} {self.detection.class_name}".strip()

    @property
    def is_kept(self) -> bool:
        return bool(self.annotation and not self.annotation.is_dropped)


@dataclass(frozen=True, slots=True)
class PhotoBoxes:
    """What was detected on one photo, and what became of it."""

    boxes: list[Box]
    crops: list[Annotation]
    labelled: list[Individual]
    is_onboarded: bool

    @property
    def can_choose(self) -> bool:
        return bool(self.boxes) and not self.is_onboarded

    @property
    def asks_who(self) -> bool:
        return len(self.labelled) > 1

    @property
    def overlay(self) -> list[dict[str, int | float | str]]:
        """Return the boxes as <fw-boxes> draws them, in pixels of the photo."""
        return [
            {
                "id": box.detection.pk,
                "x1": box.detection.x1,
                "y1": box.detection.y1,
                "x2": box.detection.x2,
                "y2": box.detection.y2,
                "label": box.name,
                "confidence": box.detection.confidence,
                "area": box.detection.area_part,
                "centrality": box.detection.centrality_part,
                "prominence": box.detection.prominence,
                "kind": "kept" if box.is_kept else "dropped" if box.annotation else "",
            }
            for box in self.boxes
        ]


def boxes_of(photo: Photo) -> PhotoBoxes:
    """Gather the boxes of a photo, the most prominent first. Costs three queries."""
    annotations = list(
        photo.annotations.select_related("individual", "decided_by").order_by(
            "is_dropped", "pk"
        )
    )
    by_detection: dict[int | None, Annotation] = {}
    for annotation in annotations:
        by_detection.setdefault(annotation.detection_id, annotation)
    detections = photo.detections.filter(run=photo.detection_run_id).order_by(
        "-prominence", "pk"
    )
    boxes = [
        Box(detection, number, by_detection.get(detection.pk))
        for number, detection in enumerate(detections, start=1)
    ]
    encounter = photo.encounter
    return PhotoBoxes(
        boxes=boxes,
        crops=annotations,
        labelled=[
            label.individual for label in photo.labels.select_related("individual")
        ],
        is_onboarded=bool(encounter and encounter.origin == Encounter.Origin.ONBOARDED),
    )
