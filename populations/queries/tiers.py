"""What the tiers of a population's photos rest on, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Count, F, QuerySet
from numpy.typing import NDArray

from finwave.ml.prominence import Tiers, retier
from populations.models import Detection, Encounter, Photo, PhotoLabel, Population

# SQLite takes at most 32,766 values in one statement, and a list so long is slower
# than reading all.
MAX_IDS = 500


@dataclass(frozen=True, slots=True)
class Basis:
    """Photos that were looked at (P) and their current detections (M), photo by photo.

    Attributes:
        photo_ids: int64 (P,), ascending.
        tiers: int64 (P,), the tier each photo has now.
        reasons: the reason of that tier, P strings.
        offsets: int64 (P + 1,): photo p has detections `offsets[p]:offsets[p + 1]`.
        prominence: float64 (M,).
        detection_ids: int64 (M,).
        n_labels: int64 (P,), how many individuals somebody named.
    """

    photo_ids: NDArray[np.int64]
    tiers: NDArray[np.int64]
    reasons: list[str]
    offsets: NDArray[np.int64]
    prominence: NDArray[np.float64]
    detection_ids: NDArray[np.int64]
    n_labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo_ids)

    def decide(self, *, threshold: float, margin: float) -> Tiers:
        return retier(
            self.prominence,
            self.offsets,
            self.n_labels,
            threshold=threshold,
            margin=margin,
        )


def tierable_photos(
    population: Population, photo_ids: list[int] | None = None
) -> QuerySet[Photo]:
    """Photos whose tier follows from detections: looked at, readable, and labelled
    data rather than an encounter uploaded for identification.
    """
    photos = (
        Photo.objects.filter(population=population, tier__isnull=False)
        .exclude(tier_reason=Photo.TierReason.UNREADABLE)
        .exclude(encounter__origin=Encounter.Origin.ONBOARDED)
    )
    if photo_ids is not None and len(photo_ids) <= MAX_IDS:
        photos = photos.filter(pk__in=photo_ids)
    return photos


def basis(population: Population, photo_ids: list[int] | None = None) -> Basis:
    """Read what the tiers rest on.

    Note:
        Three queries, whatever the number of photos.
    """
    photos = tierable_photos(population, photo_ids).order_by("pk")
    rows = list(photos.values_list("pk", "tier", "tier_reason"))
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    detections = list(
        Detection.objects.filter(
            photo__in=photos.order_by(), run=F("photo__detection_run")
        )
        .order_by("photo_id", "pk")
        .values_list("photo_id", "pk", "prominence")
    )
    of_photo = np.array([row[0] for row in detections], dtype=np.int64)
    several = dict(
        PhotoLabel.objects.filter(photo__in=photos.order_by())
        .values("photo_id")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
        .values_list("photo_id", "n")
    )
    offsets = np.searchsorted(of_photo, ids, side="left")
    return Basis(
        photo_ids=ids,
        tiers=np.array([row[1] for row in rows], dtype=np.int64),
        reasons=[row[2] for row in rows],
        offsets=np.append(offsets, len(detections)).astype(np.int64),
        prominence=np.array([row[2] for row in detections], dtype=np.float64),
        detection_ids=np.array([row[1] for row in detections], dtype=np.int64),
        n_labels=np.array([several.get(pk, 1) for pk in ids.tolist()], dtype=np.int64),
    )
