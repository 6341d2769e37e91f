"""Training in the admin site: to look at. What training wrote is never edited."""

from __future__ import annotations

from django.contrib import admin

from finwave.admin import ReadOnlyAdmin
from training.models import EpochMetrics, TrainingJob, TrainingSet, TrainingSetItem


@admin.register(TrainingSet)
class TrainingSetAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "population",
        "n_crops",
        "n_individuals",
        "n_encounters",
        "created_by",
        "created_at",
    )
    list_filter = ("population", "created_at")
    list_select_related = ("population", "created_by")
    search_fields = ("name", "fingerprint")


@admin.register(TrainingSetItem)
class TrainingSetItemAdmin(ReadOnlyAdmin):
    list_display = ("individual_code", "training_set", "side", "crop")
    list_filter = ("training_set", "side")
    list_select_related = ("training_set",)
    search_fields = ("individual_code", "crop", "crop_sha256")
    show_full_result_count = False


@admin.register(TrainingJob)
class TrainingJobAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "population",
        "model",
        "pipeline",
        "status",
        "snapshot",
        "created_by",
        "created_at",
    )
    list_filter = ("population", "pipeline", "job__status", "created_at")
    list_select_related = ("population", "model", "job", "snapshot", "created_by")
    search_fields = ("model__name", "training_set__name")

    @admin.display(ordering="job__status")
    def status(self, training_job: TrainingJob) -> str:
        return training_job.job.get_status_display() if training_job.job else "–"


@admin.register(EpochMetrics)
class EpochMetricsAdmin(ReadOnlyAdmin):
    list_display = (
        "training_job",
        "epoch",
        "train_loss",
        "val_loss",
        "top1",
        "mean_average_precision",
        "is_best",
    )
    list_filter = ("is_best", "training_job__population")
    list_select_related = ("training_job",)
    search_fields = ("training_job__model__name",)
