"""What people decide about a crop: choose its box, drop, restore, relabel, undo.

Each decision marks the annotation, so that neither re-running nor re-tiering touches
it.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TypedDict

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from populations.exceptions import DecisionRefused, NotRescuable
from populations.models import (
    Annotation,
    Detection,
    Individual,
    Photo,
    PhotoLabel,
    Population,
)
from populations.services import crops, tiers

logger = logging.getLogger(__name__)


class Before(TypedDict):
    """An annotation's state before a decision, or that there was none."""

    annotation: int
    is_new: bool
    detection: int | None
    box_xyxy: list[float]
    individual: int | None
    side: str
    evidence: str
    source: str
    is_dropped: bool
    decided_by: int | None
    decided_at: str | None


def state_of(annotation: Annotation, *, is_new: bool = False) -> Before:
    decided_at = annotation.decided_at
    return {
        "annotation": annotation.pk,
        "is_new": is_new,
        "detection": annotation.detection_id,
        "box_xyxy": list(crops.box_of(annotation)),
        "individual": annotation.individual_id,
        "side": annotation.side,
        "evidence": annotation.evidence,
        "source": annotation.source,
        "is_dropped": annotation.is_dropped,
        "decided_by": annotation.decided_by_id,
        "decided_at": decided_at.isoformat() if decided_at else None,
    }


def choose_box(
    *,
    photo: Photo,
    detection: Detection,
    user: User,
    individual: Individual | None = None,
) -> Before:
    """Make a detection the crop of the photo's labelled animal, for good.

    Choosing again for the same individual moves its crop to the other box.

    Raises:
        NotRescuable: if the box is an old one, or it is not clear whom it shows.
        finwave.ml.images.ImageError: if the photo cannot be read.
    """
    if detection.photo_id != photo.pk or detection.run_id != photo.detection_run_id:
        raise NotRescuable("This box is not among the photo's present detections.")
    label = label_for(photo, individual)
    annotation = to_be_moved(photo, detection, label)
    is_new = annotation is None
    if annotation is None:
        annotation = tiers.new_annotation(
            population=photo.population, detection=detection, label=label
        )
    before = state_of(annotation)
    with transaction.atomic():
        move_to(annotation, detection, label)
        annotation.decided_by = user
        annotation.decided_at = timezone.now()
        annotation.save()
        others = photo.annotations.filter(individual=annotation.individual)
        tiers.remove_annotations(
            list(others.exclude(pk=annotation.pk).values_list("pk", flat=True))
        )
    tiers.retier(photo.population, [photo.pk])
    crops.ensure_crop(annotation)
    logger.info(
        "photo=%s annotation=%s user=%s box chosen", photo.pk, annotation.pk, user.pk
    )
    return before | {"annotation": annotation.pk, "is_new": is_new}


def to_be_moved(
    photo: Photo, detection: Detection, label: PhotoLabel | None
) -> Annotation | None:
    """Return the crop that the choice changes: the box's own, else the individual's."""
    own = photo.annotations.filter(detection=detection).first()
    return own or (
        photo.annotations.filter(
            tiers.is_decided(), individual=label.individual if label else None
        ).first()
    )


def move_to(
    annotation: Annotation, detection: Detection, label: PhotoLabel | None
) -> None:
    box = (detection.x1, detection.y1, detection.x2, detection.y2)
    set_box(annotation, detection.pk, list(box))
    if label:
        annotation.individual = label.individual
        annotation.side = label.side
        # The identity still rests on the photo's label; the person chose the box.
        annotation.evidence = Annotation.Evidence.ATTESTED
    annotation.source = Annotation.Source.HUMAN
    annotation.is_dropped = False


def set_box(
    annotation: Annotation, detection_id: int | None, box_xyxy: list[float]
) -> None:
    """Move the annotation; its crop is of another box then, and goes."""
    annotation.detection_id = detection_id
    if list(crops.box_of(annotation)) == box_xyxy:
        return
    annotation.x1, annotation.y1, annotation.x2, annotation.y2 = box_xyxy
    crops.remove_files([annotation.crop.name or ""])
    annotation.crop.name, annotation.crop_sha256 = "", ""


def label_for(photo: Photo, individual: Individual | None) -> PhotoLabel | None:
    """Return the label that a chosen box is for; None on an unlabelled photo.

    Raises:
        NotRescuable: if the photo names several individuals and none was chosen, or
            does not name the chosen one.
    """
    labels = list(photo.labels.select_related("individual"))
    if individual is not None:
        for label in labels:
            if label.individual_id == individual.pk:
                return label
        raise NotRescuable(f"The photo's label does not name {individual.code}.")
    if len(labels) > 1:
        codes = ", ".join(label.individual.code for label in labels)
        raise NotRescuable(
            f"The photo names several individuals ({codes}): choose which of them "
            "the box shows."
        )
    return labels[0] if labels else None


def drop_crop(*, annotation: Annotation, user: User) -> Before:
    """Take a crop out of the training data; it can be restored."""
    before = state_of(annotation)
    decide(annotation, user, is_dropped=True)
    return before


def restore_crop(*, annotation: Annotation, user: User) -> Before:
    """Put a dropped crop back.

    Raises:
        DecisionRefused: if its individual has another crop on the photo by now.
    """
    refuse_second_crop(annotation, annotation.individual)
    before = state_of(annotation)
    decide(annotation, user, is_dropped=False)
    crops.ensure_crop(annotation)
    return before


def relabel_crop(
    *,
    annotation: Annotation,
    individual: Individual | None,
    side: str,
    user: User,
    new_code: str = "",
) -> Before:
    """Say whom, and which side, a crop shows; a new code adds an individual.

    Raises:
        DecisionRefused: if that individual has another crop on the photo.
    """
    refuse_second_crop(annotation, individual)
    if new_code and individual is None:
        individual, _ = Individual.objects.get_or_create(
            population=annotation.photo.population, code=new_code
        )
    before = state_of(annotation)
    annotation.individual = individual
    annotation.side = side
    annotation.evidence = (
        Annotation.Evidence.CONFIRMED if individual else Annotation.Evidence.NONE
    )
    decide(annotation, user)
    crops.move_crop(annotation)
    return before


def undo_decision(*, population: Population, before: Before) -> Photo:
    """Bring a crop back to what it was before a decision.

    Raises:
        DecisionRefused: if the crop is gone, as after another box was chosen.
    """
    annotation = (
        Annotation.objects.for_population(population)
        .select_related("photo__population", "individual")
        .filter(pk=before["annotation"])
        .first()
    )
    if annotation is None:
        raise DecisionRefused("This crop is gone by now, so nothing was undone.")
    if before["is_new"]:
        tiers.remove_annotations([annotation.pk])
    else:
        put_back(annotation, before)
    tiers.retier(population, [annotation.photo_id])
    tiers.cut_or_queue(
        population,
        tiers.missing_crops(population, [annotation.photo_id]).count(),
        user=None,
    )
    return annotation.photo


def put_back(annotation: Annotation, before: Before) -> None:
    annotation.individual = Individual.objects.filter(
        population_id=annotation.photo.population_id, pk=before["individual"] or 0
    ).first()
    detection = annotation.photo.detections.filter(pk=before["detection"] or 0).first()
    set_box(annotation, detection.pk if detection else None, before["box_xyxy"])
    annotation.side = before["side"]
    annotation.evidence = before["evidence"]
    annotation.source = before["source"]
    annotation.is_dropped = before["is_dropped"]
    annotation.decided_by_id = before["decided_by"]
    annotation.decided_at = parse(before["decided_at"])
    annotation.save()
    crops.move_crop(annotation)


def parse(moment: str | None) -> datetime | None:
    return parse_datetime(moment) if moment else None


def decide(annotation: Annotation, user: User, is_dropped: bool | None = None) -> None:
    if is_dropped is not None:
        annotation.is_dropped = is_dropped
    annotation.decided_by = user
    annotation.decided_at = timezone.now()
    with transaction.atomic():
        annotation.save(
            update_fields=[
                "individual",
                "side",
                "evidence",
                "is_dropped",
                "decided_by",
                "decided_at",
            ]
        )
    population = annotation.photo.population
    tiers.retier(population, [annotation.photo_id])
    logger.info(
        "annotation=%s user=%s dropped=%s individual=%s",
        annotation.pk,
        user.pk,
        annotation.is_dropped,
        annotation.individual_id,
    )


def refuse_second_crop(annotation: Annotation, individual: Individual | None) -> None:
    if individual is None:
        return
    other = (
        Annotation.objects.kept()
        .filter(
            photo=annotation.photo_id,
            individual=individual,
            category=annotation.category,
        )
        .exclude(pk=annotation.pk)
    )
    if other.exists():
        raise DecisionRefused(
            f"{individual.code} has another crop on this photo already; drop that "
            "one first."
        )
