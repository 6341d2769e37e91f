"""Detectors, their runs, and what they found."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from finwave.jobs.models import Job
from populations.models.people import Population
from populations.models.photos import Photo


def detector_path(detector: Detector, _filename: str) -> str:
    return f"detectors/{detector.sha256}.onnx"


class DetectorQuerySet(models.QuerySet["Detector"]):
    def usable_in(self, population: Population) -> DetectorQuerySet:
        return self.filter(Q(population=population) | Q(population__isnull=True))


class Detector(models.Model):
    """A YOLOv8-layout ONNX model: bundled with finwave, or uploaded."""

    class Status(models.TextChoices):
        CHECKING = "checking", "Being checked"
        READY = "ready", "Ready"
        REFUSED = "refused", "Refused"

    population = models.ForeignKey(
        Population,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="detectors",
        help_text="empty for the bundled detector, which everybody may use",
    )
    name = models.CharField(max_length=120)
    file = models.FileField(upload_to=detector_path, max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    status = models.CharField(
        max_length=8, choices=Status.choices, default=Status.CHECKING
    )
    refusal = models.TextField(blank=True, help_text="why it was refused")
    classes = models.JSONField(default=dict, blank=True, help_text="index to name")
    input_width_px = models.PositiveIntegerField(null=True, blank=True)
    input_height_px = models.PositiveIntegerField(null=True, blank=True)
    is_dynamic = models.BooleanField(default=False)
    layout = models.CharField(
        max_length=20, blank=True, help_text="yolov8 or end-to-end"
    )
    card = models.JSONField(
        default=dict, blank=True, help_text="where from, licence, what was measured"
    )
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DetectorQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "sha256"], name="detector_content_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_bundled(self) -> bool:
        return self.population_id is None

    @property
    def measured(self) -> list[tuple[str, str]]:
        """The figures of its card as name and value; empty if nothing was measured."""
        return flat(self.card.get("measured", {}))


def flat(figures: dict[str, object], under: str = "") -> list[tuple[str, str]]:
    """Return nested figures as lines, each named by the way to it."""
    lines: list[tuple[str, str]] = []
    for key, value in figures.items():
        name = f"{under}, {key}" if under else key
        if isinstance(value, dict):
            lines.extend(flat(value, name))
        else:
            lines.append((name.replace("_", " "), str(value)))
    return lines


class DetectionRun(models.Model):
    """One pass of one detector over photos, with the settings it ran with."""

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="detection_runs"
    )
    detector = models.ForeignKey(
        Detector,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        help_text="empty when the photos are crops already",
    )
    is_already_cropped = models.BooleanField(default=False)
    confidence = models.FloatField(default=0.15)
    nms_iou = models.FloatField(default=0.5)
    class_ids = models.JSONField(
        default=list, blank=True, help_text="classes that count; empty means any"
    )
    photo_ids = models.JSONField(
        default=list, help_text="the photos to look at, fixed at the start"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"Detection run {self.pk}"


class Detection(models.Model):
    """One box that a detector found on one photo."""

    run = models.ForeignKey(
        DetectionRun, on_delete=models.CASCADE, related_name="detections"
    )
    photo = models.ForeignKey(
        Photo, on_delete=models.CASCADE, related_name="detections"
    )
    # Pixels of the photo after EXIF orientation, half-open.
    x1 = models.FloatField()
    y1 = models.FloatField()
    x2 = models.FloatField()
    y2 = models.FloatField()
    confidence = models.FloatField()
    class_id = models.IntegerField(default=0)
    class_name = models.CharField(max_length=120, blank=True)
    is_whole_photo = models.BooleanField(
        default=False, help_text="the photo was a crop already"
    )
    # The three parts of the prominence, each in [0, 1], and their weighted sum.
    area_part = models.FloatField()
    centrality_part = models.FloatField()
    prominence = models.FloatField()

    class Meta:
        ordering: ClassVar = ["-prominence", "pk"]
        indexes: ClassVar = [models.Index(fields=["photo", "run"])]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="detection_box_has_area",
                condition=Q(x2__gt=F("x1")) & Q(y2__gt=F("y1")),
            ),
            models.CheckConstraint(
                name="detection_shares",
                condition=Q(confidence__range=(0, 1)) & Q(prominence__range=(0, 1)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.class_name or 'detection'} {self.confidence:.2f}"

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1
