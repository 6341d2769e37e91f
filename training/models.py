"""Training sets, training jobs and the figures of their epochs."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from finwave.jobs.models import Job
from populations.models import Annotation, Population
from populations.models.photos import Side
from snapshots.models import Snapshot, TrainedModel


class TrainingSet(models.Model):
    """A frozen, named list of crops with labels."""

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="training_sets"
    )
    name = models.CharField(max_length=120)
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 over the sorted (crop, individual) pairs"
    )
    n_crops = models.PositiveIntegerField()
    n_individuals = models.PositiveIntegerField()
    n_encounters = models.PositiveIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "name"], name="training_set_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


class TrainingSetItem(models.Model):
    """One crop of a training set, with everything frozen that training reads."""

    training_set = models.ForeignKey(
        TrainingSet, on_delete=models.CASCADE, related_name="items"
    )
    annotation = models.ForeignKey(
        Annotation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    photo_id = models.BigIntegerField()
    individual_code = models.CharField(max_length=100)
    encounter_id = models.BigIntegerField(null=True, blank=True)
    side = models.CharField(max_length=8, choices=Side.choices)
    box_xyxy = models.JSONField(help_text="pixels of the photo")
    crop = models.CharField(max_length=200, help_text="path under the home folder")
    crop_sha256 = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.individual_code}: {self.crop}"


class TrainingJob(models.Model):
    """One run of a pipeline on one training set. How it goes is in its job row."""

    class Pipeline(models.TextChoices):
        IDENTIFICATION = "identification", "Identification"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="training_jobs"
    )
    pipeline = models.CharField(max_length=14, choices=Pipeline.choices)
    training_set = models.ForeignKey(
        TrainingSet, on_delete=models.RESTRICT, related_name="training_jobs"
    )
    model = models.ForeignKey(
        TrainedModel, on_delete=models.CASCADE, related_name="training_jobs"
    )
    from_snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    snapshot = models.OneToOneField(
        Snapshot,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="training_job",
        help_text="what this job left on the timeline",
    )
    config = models.JSONField(help_text="TrainConfig of finwave.ml.config")
    job = models.OneToOneField(
        Job, null=True, on_delete=models.SET_NULL, related_name="training_job"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"Training job {self.pk}"


class EpochMetrics(models.Model):
    """What one epoch measured."""

    training_job = models.ForeignKey(
        TrainingJob, on_delete=models.CASCADE, related_name="epochs"
    )
    epoch = models.PositiveIntegerField(help_text="1, 2, …")
    train_loss = models.FloatField()
    val_loss = models.FloatField(null=True, blank=True)
    top1 = models.FloatField(
        null=True, blank=True, help_text="CMC@1 of validation queries, in [0, 1]"
    )
    top5 = models.FloatField(null=True, blank=True)
    mean_average_precision = models.FloatField(null=True, blank=True)
    learning_rate = models.FloatField()
    photos_per_s = models.FloatField()
    duration_s = models.FloatField()
    is_best = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "epoch metrics"
        ordering: ClassVar = ["training_job", "epoch"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["training_job", "epoch"], name="epoch_metrics_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.training_job}, epoch {self.epoch}"
