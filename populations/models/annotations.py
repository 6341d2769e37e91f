"""Regions of photos with an identity, and sightings that gather them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from populations.models.catalogue import Encounter, Individual
from populations.models.detections import Detection
from populations.models.people import Population
from populations.models.photos import Photo, Side


class Sighting(models.Model):
    """One animal in one encounter; its individual is empty until somebody says who."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting for review"
        CONFIRMED = "confirmed", "Confirmed"
        SKIPPED = "skipped", "Skipped"

    encounter = models.ForeignKey(
        Encounter, on_delete=models.CASCADE, related_name="sightings"
    )
    number = models.PositiveIntegerField(help_text="1, 2, … within the encounter")
    individual = models.ForeignKey(
        Individual,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="sightings",
    )
    status = models.CharField(
        max_length=9, choices=Status.choices, default=Status.WAITING
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["encounter", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["encounter", "number"], name="sighting_number_unique"
            ),
            models.CheckConstraint(
                name="sighting_confirmed_has_individual",
                condition=~Q(status="confirmed") | Q(individual__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Animal {self.number} of {self.encounter}"


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def for_population(self, population: Population) -> AnnotationQuerySet:
        return self.filter(photo__population=population)

    def kept(self) -> AnnotationQuerySet:
        return self.filter(is_dropped=False)

    def cut_out(self) -> AnnotationQuerySet:
        """Those whose crop lies on disk; one that is just being cut does not yet."""
        return self.exclude(crop="")

    def training_data(self) -> AnnotationQuerySet:
        """Crops that may teach a model: kept, named, and somebody stands for it."""
        return self.kept().filter(
            individual__isnull=False,
            evidence__in=Annotation.TRUSTED,
        )


class Annotation(models.Model):
    """A region of a photo: box, category, side, individual, and how we know."""

    class Source(models.TextChoices):
        DETECTION = "detection", "Detector"
        HUMAN = "human", "Drawn or chosen by a person"
        IMPORT = "import", "Imported"

    class Evidence(models.TextChoices):
        NONE = "none", "Nobody said"
        ATTESTED = "attested", "Somebody said so"
        SUGGESTED = "suggested", "A model suggested it"
        CORROBORATED = "corroborated", "Somebody said so and a model agrees"
        CONFIRMED = "confirmed", "A person looked and confirmed"

    TRUSTED: ClassVar = (Evidence.ATTESTED, Evidence.CORROBORATED, Evidence.CONFIRMED)

    photo = models.ForeignKey(
        Photo, on_delete=models.CASCADE, related_name="annotations"
    )
    detection = models.ForeignKey(
        Detection,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="annotations",
    )
    # Pixels of the photo after EXIF orientation, half-open.
    x1 = models.FloatField()
    y1 = models.FloatField()
    x2 = models.FloatField()
    y2 = models.FloatField()
    category = models.CharField(max_length=60, blank=True)
    side = models.CharField(max_length=8, choices=Side.choices, default=Side.UNKNOWN)
    individual = models.ForeignKey(
        Individual,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="annotations",
    )
    sighting = models.ForeignKey(
        Sighting,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="annotations",
    )
    source = models.CharField(
        max_length=9, choices=Source.choices, default=Source.DETECTION
    )
    evidence = models.CharField(
        max_length=12, choices=Evidence.choices, default=Evidence.NONE
    )
    is_dropped = models.BooleanField(
        default=False, help_text="a person took it out of the training data"
    )
    # Set when a person chose, dropped or relabelled it: re-runs and re-tiering leave
    # such a row alone.
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    # The cut-out as JPEG; its name carries the content's hash, so it never changes.
    crop = models.FileField(max_length=200, blank=True)
    crop_sha256 = models.CharField(max_length=64, blank=True)
    crop_width_px = models.PositiveIntegerField(default=0)
    crop_height_px = models.PositiveIntegerField(default=0)
    sharpness = models.FloatField(
        null=True, blank=True, help_text="variance of the Laplacian at 256 px"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]
        indexes: ClassVar = [
            models.Index(fields=["individual", "is_dropped"]),
            models.Index(fields=["photo", "is_dropped"]),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="annotation_box_has_area",
                condition=Q(x2__gt=F("x1")) & Q(y2__gt=F("y1")),
            ),
            models.CheckConstraint(
                name="annotation_trusted_has_individual",
                condition=Q(evidence__in=("none", "suggested"))
                | Q(individual__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.category or 'region'} {self.pk}"
