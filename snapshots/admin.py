from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from finwave.admin import ReadOnlyAdmin
from snapshots.models import (
    Deployment,
    Embedding,
    Identification,
    Onboarding,
    OnboardingFile,
    Snapshot,
    StoredObject,
    Suggestion,
    TrainedModel,
)


@admin.register(TrainedModel)
class TrainedModelAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "population",
        "task",
        "architecture",
        "created_at",
    )
    list_filter = ("task", "population", "architecture")
    list_select_related = ("population",)
    search_fields = ("name", "population__name", "architecture")
    date_hierarchy = "created_at"


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "model",
        "state",
        "is_current",
        "cause",
        "epoch",
        "n_annotations",
        "n_individuals",
        "size_bytes",
        "created_at",
        "expires_at",
    )
    list_filter = ("state", "is_current", "cause", "model__population")
    list_select_related = ("model",)
    search_fields = ("name", "model__name", "fingerprint", "notes")
    date_hierarchy = "created_at"


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "population",
        "status",
        "export_difference",
        "created_by",
        "created_at",
        "activated_at",
    )
    list_filter = ("status", "population")
    list_select_related = ("population", "snapshot", "created_by")
    search_fields = ("snapshot__name", "population__name")
    date_hierarchy = "created_at"


@admin.register(StoredObject)
class StoredObjectAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "size_bytes", "created_at")
    search_fields = ("sha256",)
    date_hierarchy = "created_at"


@admin.register(Embedding)
class EmbeddingAdmin(ReadOnlyAdmin):
    list_display = ("pk", "deployment", "annotation", "crop_sha256")
    list_filter = ("deployment__population",)
    list_select_related = ("deployment__snapshot", "annotation")
    search_fields = ("crop_sha256", "annotation__individual__code")
    exclude = ("vector",)


@admin.register(Suggestion)
class SuggestionAdmin(ReadOnlyAdmin):
    list_display = (
        "sighting",
        "rank",
        "individual",
        "similarity",
        "probability",
    )
    list_filter = ("rank", "deployment__population")
    list_select_related = ("sighting__encounter", "individual")
    search_fields = ("individual__code", "sighting__encounter__name")


@admin.register(Identification)
class IdentificationAdmin(ReadOnlyAdmin):
    list_display = (
        "sighting",
        "answer",
        "individual",
        "rank",
        "snapshot",
        "answered_by",
        "answered_at",
        "undone_at",
    )
    list_filter = ("answer", "rank", "snapshot__model__population")
    list_select_related = (
        "sighting__encounter",
        "individual",
        "snapshot",
        "answered_by",
    )
    search_fields = ("individual__code", "sighting__encounter__name")
    date_hierarchy = "answered_at"


class OnboardingFileInline(admin.TabularInline[OnboardingFile, Onboarding]):
    model = OnboardingFile
    fields = ("name", "outcome", "reason", "photo")
    readonly_fields = ("name", "outcome", "reason", "photo")
    extra = 0
    can_delete = False

    def has_add_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


@admin.register(Onboarding)
class OnboardingAdmin(ReadOnlyAdmin):
    list_display = (
        "encounter",
        "is_already_cropped",
        "is_grouped",
        "job",
        "created_by",
        "created_at",
    )
    list_filter = ("is_grouped", "encounter__population")
    list_select_related = ("encounter", "job", "created_by")
    search_fields = ("encounter__name", "files__name")
    inlines = (OnboardingFileInline,)


@admin.register(OnboardingFile)
class OnboardingFileAdmin(ReadOnlyAdmin):
    list_display = ("name", "onboarding", "outcome", "reason")
    list_filter = ("outcome",)
    list_select_related = ("onboarding__encounter",)
    search_fields = ("name", "reason", "onboarding__encounter__name")
