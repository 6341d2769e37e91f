"""Stored photographs and what people said is on them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from populations.models.catalogue import Encounter, Individual
from populations.models.people import Population


class Tier(models.IntegerChoices):
    """How sure we are which detection a photo's label belongs to."""

    ONE = 1, "Tier 1"
    TWO = 2, "Tier 2"
    THREE = 3, "Tier 3"


class Side(models.TextChoices):
    LEFT = "left", "Left"
    RIGHT = "right", "Right"
    FRONT = "front", "Front"
    BACK = "back", "Back"
    UNKNOWN = "unknown", "Unknown"


def photo_path(photo: Photo, filename: str) -> str:
    return (
        f"populations/{photo.population_id}/photos/{photo.sha256[:2]}/"
        f"{photo.sha256}{filename[filename.rfind('.') :].lower()}"
    )


def thumbnail_path(photo: Photo, _filename: str) -> str:
    return (
        f"populations/{photo.population_id}/thumbnails/{photo.sha256[:2]}/"
        f"{photo.sha256}.jpg"
    )


def view_name(population_id: int, sha256: str) -> str:
    return f"populations/{population_id}/views/{sha256[:2]}/{sha256}.jpg"


class Photo(models.Model):
    """One stored original file, recognised by its content."""

    class TierReason(models.TextChoices):
        SINGLE = "single", "Exactly one detection"
        DOMINANT = "dominant", "One detection is clearly dominant"
        NOTHING_DETECTED = "nothing-detected", "Nothing was detected"
        NOT_DOMINANT = "not-dominant", "Several detections and none clearly dominant"
        BELOW_THRESHOLD = "below-threshold", "No detection reaches the threshold"
        SEVERAL_LABELS = "several-labels", "Several individuals are named"
        UNREADABLE = "unreadable", "The photo could not be read"
        RESCUED = "rescued", "A person chose the detection"
        DROPPED = "dropped", "A person dropped it"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="photos"
    )
    encounter = models.ForeignKey(
        Encounter,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="photos",
    )
    import_batch = models.ForeignKey(
        "populations.ImportBatch",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="photos",
    )
    file = models.FileField(upload_to=photo_path, max_length=200)
    thumbnail = models.FileField(upload_to=thumbnail_path, max_length=200, blank=True)
    original_name = models.CharField(
        max_length=400, help_text="path as it was imported"
    )
    sha256 = models.CharField(max_length=64)
    width_px = models.PositiveIntegerField(help_text="after EXIF orientation")
    height_px = models.PositiveIntegerField(help_text="after EXIF orientation")
    size_bytes = models.PositiveBigIntegerField()
    taken_at = models.DateTimeField(null=True, blank=True)
    camera = models.CharField(max_length=120, blank=True)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # What the newest detection and tiering said; the detections themselves are rows.
    detection_run = models.ForeignKey(
        "populations.DetectionRun",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="current_photos",
        help_text="the run whose detections count",
    )
    n_detections = models.PositiveIntegerField(null=True, blank=True)
    tier = models.PositiveSmallIntegerField(choices=Tier.choices, null=True, blank=True)
    tier_reason = models.CharField(
        max_length=20, choices=TierReason.choices, blank=True
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [
            models.Index(fields=["population", "tier"]),
            models.Index(fields=["population", "original_name"]),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "sha256"], name="photo_content_unique"
            ),
            models.CheckConstraint(
                name="photo_tier_with_reason",
                condition=Q(tier__isnull=True, tier_reason="")
                | (Q(tier__isnull=False) & ~Q(tier_reason="")),
            ),
        ]

    def __str__(self) -> str:
        return self.original_name

    @property
    def view_name(self) -> str:
        """Name in the storage of the re-encoded picture that pages show."""
        return view_name(self.population_id, self.sha256)


class PhotoLabel(models.Model):
    """Somebody said that this individual is on this photo (somewhere)."""

    photo = models.ForeignKey(Photo, on_delete=models.CASCADE, related_name="labels")
    individual = models.ForeignKey(
        Individual, on_delete=models.CASCADE, related_name="photo_labels"
    )
    side = models.CharField(max_length=8, choices=Side.choices, default=Side.UNKNOWN)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["photo", "individual"], name="photo_label_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.individual} on {self.photo}"
