"""Which detection is the labelled animal: tiers and the annotations they make.

`finwave.ml.prominence` decides; here its decision meets what people decided, and
becomes rows. A photo on which somebody decided something is never decided again by
numbers: only the words for its tier follow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from finwave.jobs.services import start_job
from finwave.ml.prominence import TierDecision, decide_tier
from populations.models import (
    Annotation,
    Detection,
    Photo,
    PhotoLabel,
    Population,
)
from populations.models.photos import Side, Tier
from populations.queries.tiers import Basis, basis, tierable_photos
from populations.services import crops

logger = logging.getLogger(__name__)

# Up to so many photos are decoded at once, in the request (a tenth of a second for
# each of 12 megapixels); more go to a job.
CUT_AT_ONCE = 20
# Rows in one transaction: the write lock is held for some 20 ms.
CHUNK = 1000

Reason = Photo.TierReason


@dataclass(frozen=True, slots=True)
class Retiering:
    """What a change of thresholds did."""

    n_changed: int  # photos whose tier or reason is another one now
    n_missing: int  # crops that are still to be cut


def is_decided() -> Q:
    """Annotations that a person stands for; the marker survives the person's account."""
    return Q(decided_at__isnull=False) | Q(
        evidence__in=(Annotation.Evidence.CONFIRMED, Annotation.Evidence.CORROBORATED)
    )


def with_people(
    decision: TierDecision, *, is_same_box: bool, has_kept: bool, has_dropped: bool
) -> tuple[int, str]:
    """Return tier and reason once people's decisions on the photo are weighed.

    A kept box that the numbers would keep too stays what the numbers call it; one they
    would not keep was rescued; a photo with nothing but dropped boxes teaches nothing.
    """
    if has_kept:
        if is_same_box and decision.index is not None:
            return decision.tier, decision.reason
        return Tier.TWO, Reason.RESCUED
    if has_dropped:
        return Tier.THREE, Reason.DROPPED
    return decision.tier, decision.reason


def category_of(population: Population, class_name: str) -> str:
    """Return the population's word for a detector's class."""
    if class_name in population.categories or not population.categories:
        return class_name[:60]
    return str(population.categories[0])[:60]


def new_annotation(
    *,
    population: Population,
    detection: Detection,
    label: PhotoLabel | None,
) -> Annotation:
    """Make, unsaved, the annotation that a detection becomes for a photo's label."""
    return Annotation(
        photo_id=detection.photo_id,
        detection=detection,
        x1=detection.x1,
        y1=detection.y1,
        x2=detection.x2,
        y2=detection.y2,
        category=category_of(population, detection.class_name),
        side=label.side if label else Side.UNKNOWN,
        individual=label.individual if label else None,
        source=Annotation.Source.DETECTION,
        evidence=(Annotation.Evidence.ATTESTED if label else Annotation.Evidence.NONE),
    )


def retier(
    population: Population,
    photo_ids: list[int] | None = None,
) -> Retiering:
    """Decide the tiers again from the detections there are, and reconcile the rows.

    Detects nothing. Human decisions stay. The annotations that lose their ground go
    (with their crops), those that gain it come, without a crop until one is cut.
    Repeating it changes nothing.
    """
    ground = basis(population, photo_ids)
    tiers = ground.decide(
        threshold=population.prominence_threshold, margin=population.dominance_margin
    )
    decided = decided_annotations(tierable_photos(population, photo_ids))
    wanted: dict[int, int] = {}
    changed: dict[tuple[int, str], list[int]] = {}
    for place, (pk, tier, reason, index) in enumerate(
        zip(
            ground.photo_ids.tolist(),
            tiers.tier.tolist(),
            tiers.reason_names(),
            tiers.index.tolist(),
            strict=True,
        )
    ):
        kept = int(ground.detection_ids[index]) if index >= 0 else None
        if pk in decided:
            tier, reason = with_people(
                TierDecision(tier, reason, index if index >= 0 else None),
                is_same_box=any(a.detection_id == kept for a in kept_of(decided[pk])),
                has_kept=bool(kept_of(decided[pk])),
                has_dropped=True,
            )
        elif kept is not None:
            wanted[pk] = kept
        if (tier, reason) != (int(ground.tiers[place]), ground.reasons[place]):
            changed.setdefault((tier, reason), []).append(pk)
    write_tiers(changed)
    reconcile_annotations(population, ground, wanted, photo_ids)
    n_missing = missing_crops(population, photo_ids).count()
    return Retiering(sum(map(len, changed.values())), n_missing)


def decided_annotations(photos: QuerySet[Photo]) -> dict[int, list[Annotation]]:
    found: dict[int, list[Annotation]] = {}
    for annotation in Annotation.objects.filter(
        is_decided(), photo__in=photos.order_by()
    ):
        found.setdefault(annotation.photo_id, []).append(annotation)
    return found


def kept_of(annotations: Iterable[Annotation]) -> list[Annotation]:
    return [annotation for annotation in annotations if not annotation.is_dropped]


def write_tiers(changed: dict[tuple[int, str], list[int]]) -> None:
    for (tier, reason), ids in changed.items():
        for chunk in in_chunks(ids):
            Photo.objects.filter(pk__in=chunk).update(tier=tier, tier_reason=reason)


def reconcile_annotations(
    population: Population,
    ground: Basis,
    wanted: dict[int, int],
    photo_ids: list[int] | None,
) -> None:
    """Make the undecided annotations those that are wanted, and no others.

    Args:
        wanted: Photo's id to the id of the one detection to keep.
    """
    photos = tierable_photos(population, photo_ids).order_by()
    labels = {
        label.photo_id: label
        for label in PhotoLabel.objects.filter(photo__in=photos).select_related(
            "individual"
        )
        if label.photo_id in wanted
    }
    stale: list[int] = []
    for row in Annotation.objects.filter(photo__in=photos).exclude(is_decided()):
        label = labels.get(row.photo_id)
        if wanted.get(row.photo_id) == row.detection_id and (
            (row.individual_id, row.side)
            == ((label.individual_id, label.side) if label else (None, row.side))
        ):
            del wanted[row.photo_id]
        else:
            stale.append(row.pk)
    remove_annotations(stale)
    for chunk in in_chunks(list(wanted.values())):
        with transaction.atomic():
            Annotation.objects.bulk_create(
                new_annotation(
                    population=population,
                    detection=detection,
                    label=labels.get(detection.photo_id),
                )
                for detection in Detection.objects.filter(pk__in=chunk)
            )


def remove_annotations(ids: list[int]) -> None:
    """Delete annotations and, once that has committed, their crops' files."""
    for chunk in in_chunks(ids):
        with transaction.atomic():
            rows = Annotation.objects.filter(pk__in=chunk)
            crops.remove_files(rows.values_list("crop", flat=True))
            rows.delete()


def in_chunks(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def missing_crops(
    population: Population, photo_ids: list[int] | None = None
) -> QuerySet[Annotation]:
    annotations = Annotation.objects.for_population(population).filter(
        crop="", is_dropped=False
    )
    if photo_ids is not None and len(photo_ids) <= CHUNK:
        annotations = annotations.filter(photo__in=photo_ids)
    return annotations.select_related("photo", "individual").order_by("photo_id", "pk")


def set_thresholds(
    *, population: Population, threshold: float, margin: float, user: User
) -> Retiering:
    """Store the thresholds, re-tier everything, and see that all crops get cut."""
    population.prominence_threshold = threshold
    population.dominance_margin = margin
    population.save(update_fields=["prominence_threshold", "dominance_margin"])
    retiering = retier(population)
    cut_or_queue(population, retiering.n_missing, user)
    logger.info(
        "population=%s threshold=%s margin=%s changed=%s",
        population.pk,
        threshold,
        margin,
        retiering.n_changed,
    )
    return retiering


def cut_or_queue(population: Population, n_missing: int, user: User | None) -> None:
    """Cut few missing crops now, many in a job."""
    if n_missing > CUT_AT_ONCE:
        start_job(
            kind="populations.retier",
            scope_id=population.pk,
            subject_id=population.pk,
            title="Cutting crops",
            user=user,
            n_total=n_missing,
            unit="crops",
        )
    elif n_missing:
        crops.cut_missing(missing_crops(population))


def decide_photo(
    population: Population, prominence: list[float], n_labels: int
) -> TierDecision:
    return decide_tier(
        prominence,
        threshold=population.prominence_threshold,
        margin=population.dominance_margin,
        n_labels=n_labels,
    )
