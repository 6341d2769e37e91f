"""Reads of photographs: the grid with its filters, one photo with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from populations.models import (
    Encounter,
    Individual,
    Photo,
    PhotoLabel,
    Population,
)


@dataclass(frozen=True, slots=True)
class PhotoFilter:
    """What the grid shows; empty fields do not restrict."""

    tier: str = ""  # "1", "2", "3", or "none" for photos without detection
    reason: str = ""
    individual: Individual | None = None
    encounter: Encounter | None = None
    is_unlabelled: bool = False
    text: str = ""


def photos_of(population: Population, chosen: PhotoFilter) -> QuerySet[Photo]:
    """Return the photos that fit, newest first."""
    photos = Photo.objects.filter(population=population).prefetch_related(
        "labels__individual"
    )
    if chosen.tier == "none":
        photos = photos.filter(tier__isnull=True)
    elif chosen.tier:
        photos = photos.filter(tier=chosen.tier)
    if chosen.reason:
        photos = photos.filter(tier_reason=chosen.reason)
    if chosen.encounter:
        photos = photos.filter(encounter=chosen.encounter)
    labels = PhotoLabel.objects.filter(photo=OuterRef("pk"))
    if chosen.individual:
        photos = photos.filter(Exists(labels.filter(individual=chosen.individual)))
    if chosen.is_unlabelled:
        photos = photos.filter(~Exists(labels))
    if chosen.text:
        photos = photos.filter(original_name__icontains=chosen.text)
    return photos.order_by("-pk")


@dataclass(frozen=True, slots=True)
class Neighbours:
    newer: int | None
    older: int | None


def neighbours_of(photo: Photo, photos: QuerySet[Photo]) -> Neighbours:
    """Return the photos before and after this one in a filtered list."""
    pks = photos.order_by().values_list("pk", flat=True)
    return Neighbours(
        newer=pks.filter(pk__gt=photo.pk).order_by("pk").first(),
        older=pks.filter(pk__lt=photo.pk).order_by("-pk").first(),
    )


def labels_of(photo: Photo) -> QuerySet[PhotoLabel]:
    return (
        PhotoLabel.objects.filter(photo=photo)
        .select_related("individual")
        .order_by("individual__code_sort")
    )
