"""What people decide about a crop: drop, restore, relabel, and taking it back.

Each decision marks the annotation, so that neither re-running nor re-tiering touches
it. Choosing another box on a photo is `tiers.rescue`.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TypedDict

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from populations.exceptions import DecisionRefused
from populations.models import Annotation, Individual, Photo, Population
from populations.services import crops, tiers

logger = logging.getLogger(__name__)


class Before(TypedDict):
    """An annotation's state before a decision, or that there was none."""

    annotation: int
    photo: int
    is_new: bool
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
        "photo": annotation.photo_id,
        "is_new": is_new,
        "individual": annotation.individual_id,
        "side": annotation.side,
        "evidence": annotation.evidence,
        "source": annotation.source,
        "is_dropped": annotation.is_dropped,
        "decided_by": annotation.decided_by_id,
        "decided_at": decided_at.isoformat() if decided_at else None,
    }


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
    *, annotation: Annotation, individual: Individual | None, side: str, user: User
) -> Before:
    """Say whom, and which side, a crop shows.

    Raises:
        DecisionRefused: if that individual has another crop on the photo.
    """
    refuse_second_crop(annotation, individual)
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
        population_id=annotation.photo.population_id, pk=before["individual"]
    ).first()
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
