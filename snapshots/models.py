"""Models, their snapshots, and what a deployed snapshot says about new crops."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from finwave.jobs.models import Job
from populations.models import (
    Annotation,
    DetectionRun,
    Encounter,
    Individual,
    Photo,
    Population,
    Sighting,
)


class StoredObject(models.Model):
    """One content-addressed file under `objects/`; nothing changes it, ever."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.sha256[:12]


class TrainedModel(models.Model):
    """One model with its timeline of snapshots. Researchers say "model"."""

    class Task(models.TextChoices):
        IDENTIFICATION = "identification", "Identification"
        DETECTION = "detection", "Detection"
        SEGMENTATION = "segmentation", "Segmentation"

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="trained_models"
    )
    name = models.CharField(max_length=120)
    task = models.CharField(max_length=14, choices=Task.choices)
    architecture = models.CharField(max_length=120)
    parent_snapshot = models.ForeignKey(
        "snapshots.Snapshot",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="derived_models",
        help_text="the snapshot this model started from",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "model"
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population", "name"], name="model_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def for_population(self, population: Population) -> SnapshotQuerySet:
        return self.filter(model__population=population)

    def expired(self) -> SnapshotQuerySet:
        return self.filter(expires_at__lt=timezone.now()).deletable()

    def deletable(self) -> SnapshotQuerySet:
        """Neither current, saved, deployed, nor the start of another model."""
        return (
            self.filter(state=Snapshot.State.TEMPORARY, is_current=False)
            .exclude(deployments__status__in=Deployment.IN_USE)
            .exclude(derived_models__isnull=False)
        )


class Snapshot(models.Model):
    """A saved state of a model. Provenance is stored as data, not as links."""

    class State(models.TextChoices):
        TEMPORARY = "temporary", "Temporary"
        SAVED = "saved", "Saved"

    class Cause(models.TextChoices):
        FINISHED = "finished", "Training finished"
        STOPPED = "stopped", "Training was stopped"
        FAILED = "failed", "Training failed after an epoch"

    model = models.ForeignKey(
        TrainedModel, on_delete=models.CASCADE, related_name="snapshots"
    )
    name = models.CharField(max_length=120)
    state = models.CharField(
        max_length=9, choices=State.choices, default=State.TEMPORARY
    )
    is_current = models.BooleanField(default=False)
    cause = models.CharField(max_length=8, choices=Cause.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    saved_at = models.DateTimeField(null=True, blank=True)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    notes = models.TextField(blank=True)

    job_number = models.BigIntegerField(help_text="number of the training job")
    job_title = models.CharField(max_length=200, blank=True)
    epoch = models.PositiveIntegerField(help_text="epoch the weights are from")
    weights = models.ForeignKey(
        StoredObject, on_delete=models.PROTECT, related_name="+"
    )
    config = models.JSONField(default=dict)
    classes = models.JSONField(
        default=list, help_text="individual codes, in the order of the head's outputs"
    )
    metrics = models.JSONField(default=dict)
    calibration = models.JSONField(default=dict, blank=True)
    # One entry an annotation: {"annotation": id, "photo": id, "individual": code,
    # "encounter": id, "side": "left", "box": [x1, y1, x2, y2], "split": "train",
    # "crop": path under the home folder, "sha256": …}
    manifest = models.ForeignKey(
        StoredObject, on_delete=models.PROTECT, related_name="+"
    )
    fingerprint = models.CharField(max_length=64)
    n_annotations = models.PositiveIntegerField(help_text="training areas")
    n_photos = models.PositiveIntegerField(help_text="scenes")
    n_individuals = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    code_version = models.CharField(max_length=40)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model"],
                condition=Q(is_current=True),
                name="snapshot_one_current_per_model",
            ),
            models.UniqueConstraint(
                fields=["model", "name"], name="snapshot_name_unique"
            ),
            # A job leaves one snapshot, however often its end is written.
            models.UniqueConstraint(
                fields=["model", "job_number"], name="snapshot_one_per_job"
            ),
            models.CheckConstraint(
                name="snapshot_saved_never_expires",
                condition=~Q(state="saved") | Q(expires_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Deployment(models.Model):
    """A snapshot put to work: an ONNX encoder and the gallery it searches."""

    class Status(models.TextChoices):
        PREPARING = "preparing", "Being prepared"
        ACTIVE = "active", "Deployed"
        RETIRED = "retired", "Retired"
        FAILED = "failed", "Failed"

    # What keeps its snapshot from being deleted.
    IN_USE: ClassVar = (Status.PREPARING, Status.ACTIVE)

    population = models.ForeignKey(
        Population, on_delete=models.CASCADE, related_name="deployments"
    )
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.RESTRICT, related_name="deployments"
    )
    status = models.CharField(
        max_length=9, choices=Status.choices, default=Status.PREPARING
    )
    encoder = models.ForeignKey(
        StoredObject,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="ONNX file",
    )
    export_difference = models.FloatField(
        null=True,
        blank=True,
        help_text="largest difference between ONNX and torch, per embedding value",
    )
    calibration = models.JSONField(default=dict, blank=True)
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["population"],
                condition=Q(status="active"),
                name="deployment_one_active_per_population",
            ),
            models.CheckConstraint(
                name="deployment_active_has_encoder",
                condition=~Q(status="active") | Q(encoder__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Deployment {self.pk} of {self.snapshot}"


class Embedding(models.Model):
    """What a deployed encoder makes of one crop: a unit vector."""

    deployment = models.ForeignKey(
        Deployment, on_delete=models.CASCADE, related_name="embeddings"
    )
    annotation = models.ForeignKey(
        Annotation, on_delete=models.CASCADE, related_name="embeddings"
    )
    crop_sha256 = models.CharField(max_length=64)
    vector = models.BinaryField(help_text="float32, little-endian, unit norm")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["deployment", "annotation"], name="embedding_unique"
            )
        ]

    def __str__(self) -> str:
        return f"embedding of annotation {self.annotation_id}"


class Suggestion(models.Model):
    """One ranked answer to "who is this animal?"; no individual means a new one."""

    sighting = models.ForeignKey(
        Sighting, on_delete=models.CASCADE, related_name="suggestions"
    )
    deployment = models.ForeignKey(
        Deployment, on_delete=models.CASCADE, related_name="suggestions"
    )
    rank = models.PositiveSmallIntegerField()
    individual = models.ForeignKey(
        Individual, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    similarity = models.FloatField(
        null=True, blank=True, help_text="cosine; empty for a new individual"
    )
    probability = models.FloatField(
        null=True,
        blank=True,
        help_text="calibrated; empty when there was too little data",
    )
    best_match = models.ForeignKey(
        Annotation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["sighting", "rank"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["sighting", "rank"], name="suggestion_rank_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rank}. {self.individual or 'new individual'}"


class Identification(models.Model):
    """A person's answer for one sighting, and what had been suggested."""

    class Answer(models.TextChoices):
        ACCEPTED = "accepted", "Accepted a suggestion"
        OTHER = "other", "Chose another individual"
        NEW = "new", "A new individual"
        SKIPPED = "skipped", "Skipped"

    sighting = models.ForeignKey(
        Sighting, on_delete=models.CASCADE, related_name="identifications"
    )
    answer = models.CharField(max_length=8, choices=Answer.choices)
    individual = models.ForeignKey(
        Individual, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    rank = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="rank of the suggestion that was right"
    )
    # The snapshot that had made the suggestions; none when it was done by hand.
    snapshot = models.ForeignKey(
        Snapshot,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="identifications",
    )
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL
    )
    answered_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    # What "undo" needs to put back, one entry an annotation.
    before = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"{self.get_answer_display()} for {self.sighting}"


class Onboarding(models.Model):
    """How the photographs of one encounter came in to be identified."""

    encounter = models.OneToOneField(
        Encounter, on_delete=models.CASCADE, related_name="onboarding"
    )
    is_already_cropped = models.BooleanField(
        default=False, help_text="each photo shows one animal, cut out"
    )
    is_grouped = models.BooleanField(
        default=False,
        help_text="its crops were gathered by animal, which takes a deployed model",
    )
    detection_run = models.ForeignKey(
        DetectionRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    job = models.ForeignKey(
        Job,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="the newest job; there is one each time it is done again",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"Onboarding of {self.encounter}"


class OnboardingFile(models.Model):
    """One uploaded file of an encounter, and what became of it."""

    class Outcome(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ADDED = "added", "Added"
        DUPLICATE = "duplicate", "Already here"
        REFUSED = "refused", "Refused"

    onboarding = models.ForeignKey(
        Onboarding, on_delete=models.CASCADE, related_name="files"
    )
    path = models.CharField(max_length=1000, help_text="under the staging folder")
    name = models.CharField(max_length=400, help_text="as it was uploaded")
    outcome = models.CharField(
        max_length=9, choices=Outcome.choices, default=Outcome.WAITING
    )
    reason = models.CharField(max_length=500, blank=True)
    photo = models.ForeignKey(
        Photo, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["onboarding", "path"], name="onboarding_file_path_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name
