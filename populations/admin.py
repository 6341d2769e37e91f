"""The admin site of this app: for looking, and for repairs that break nothing.

Rows that own files, or that jobs and invariants hang on, are changed in the app alone:
here they can be read, and not added or deleted.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from finwave.admin import Kept, ReadOnly
from populations.models import (
    Annotation,
    Detection,
    DetectionRun,
    Detector,
    Encounter,
    ImportBatch,
    ImportFile,
    Individual,
    IndividualAlias,
    Membership,
    Photo,
    PhotoLabel,
    Population,
    Sighting,
)


class MembershipInline(admin.TabularInline[Membership, Population]):
    model = Membership
    extra = 0
    # Adding is safe; that one administrator stays is seen to on the members' page.
    can_delete = False
    autocomplete_fields = ("user",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Population)
class PopulationAdmin(Kept, admin.ModelAdmin[Population]):
    list_display = (
        "name",
        "species_common",
        "region",
        "default_detector",
        "is_demo",
        "created_at",
    )
    list_filter = ("is_demo", "species_common", "region")
    list_select_related = ("default_detector",)
    search_fields = ("name", "slug", "species_common", "species_latin")
    readonly_fields = (
        "slug",
        "is_demo",
        "created_at",
        "default_detector",
        # Changing them re-tiers the photographs, which the page "Thresholds" does.
        "prominence_threshold",
        "dominance_margin",
    )
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(ReadOnly, admin.ModelAdmin[Membership]):
    list_display = ("user", "population", "role")
    list_filter = ("role", "population")
    list_select_related = ("user", "population")
    search_fields = ("user__username", "population__name")


class AliasInline(admin.TabularInline[IndividualAlias, Individual]):
    model = IndividualAlias
    extra = 0


@admin.register(Individual)
class IndividualAdmin(Kept, admin.ModelAdmin[Individual]):
    list_display = ("code", "name", "sex", "population", "created_at")
    list_filter = ("population", "sex")
    list_select_related = ("population",)
    search_fields = ("code", "name", "aliases__code")
    # The names of crops and the classes of snapshots carry the code.
    readonly_fields = ("population", "code", "created_at")
    inlines = (AliasInline,)


@admin.register(IndividualAlias)
class IndividualAliasAdmin(admin.ModelAdmin[IndividualAlias]):
    list_display = ("code", "individual")
    list_select_related = ("individual",)
    search_fields = ("code", "individual__code")
    autocomplete_fields = ("individual",)


@admin.register(Encounter)
class EncounterAdmin(Kept, admin.ModelAdmin[Encounter]):
    list_display = (
        "name",
        "date_on",
        "place",
        "photographer",
        "origin",
        "population",
    )
    list_filter = ("population", "origin")
    list_select_related = ("population",)
    date_hierarchy = "date_on"
    search_fields = ("name", "place", "photographer")
    readonly_fields = ("population", "origin", "created_at")


class PhotoLabelInline(ReadOnly, admin.TabularInline[PhotoLabel, Photo]):
    model = PhotoLabel
    extra = 0
    raw_id_fields = ("individual",)


@admin.register(Photo)
class PhotoAdmin(ReadOnly, admin.ModelAdmin[Photo]):
    list_display = (
        "original_name",
        "population",
        "encounter",
        "tier",
        "tier_reason",
        "n_detections",
        "taken_at",
    )
    list_filter = ("population", "tier", "tier_reason")
    list_select_related = ("population", "encounter")
    search_fields = ("original_name", "sha256")
    show_full_result_count = False
    inlines = (PhotoLabelInline,)


@admin.register(PhotoLabel)
class PhotoLabelAdmin(ReadOnly, admin.ModelAdmin[PhotoLabel]):
    list_display = ("photo", "individual", "side")
    list_filter = ("side", "individual__population")
    list_select_related = ("photo", "individual")
    search_fields = ("photo__original_name", "individual__code")
    show_full_result_count = False


@admin.register(Detector)
class DetectorAdmin(Kept, admin.ModelAdmin[Detector]):
    list_display = (
        "name",
        "population",
        "status",
        "layout",
        "input_width_px",
        "size_bytes",
        "created_at",
    )
    list_filter = ("status", "layout", "population")
    list_select_related = ("population",)
    search_fields = ("name", "sha256")
    # All but the name is what the check of the file found.
    fields = (
        "name",
        "population",
        "status",
        "refusal",
        "sha256",
        "size_bytes",
        "classes",
        "input_width_px",
        "input_height_px",
        "is_dynamic",
        "layout",
        "card",
        "uploaded_by",
        "created_at",
    )
    readonly_fields = fields[1:]


@admin.register(DetectionRun)
class DetectionRunAdmin(ReadOnly, admin.ModelAdmin[DetectionRun]):
    list_display = (
        "__str__",
        "population",
        "detector",
        "confidence",
        "is_already_cropped",
        "created_by",
        "created_at",
    )
    list_filter = ("population", "is_already_cropped")
    list_select_related = ("population", "detector", "created_by")
    search_fields = ("detector__name", "population__name")
    # Tens of thousands of ids are no reading.
    exclude = ("photo_ids",)


@admin.register(Detection)
class DetectionAdmin(ReadOnly, admin.ModelAdmin[Detection]):
    list_display = (
        "photo",
        "class_name",
        "confidence",
        "prominence",
        "run",
    )
    list_filter = ("class_name", "is_whole_photo")
    list_select_related = ("photo", "run")
    search_fields = ("photo__original_name",)
    show_full_result_count = False


@admin.register(Annotation)
class AnnotationAdmin(ReadOnly, admin.ModelAdmin[Annotation]):
    list_display = (
        "__str__",
        "photo",
        "individual",
        "side",
        "source",
        "evidence",
        "is_dropped",
    )
    list_filter = (
        "photo__population",
        "source",
        "evidence",
        "is_dropped",
        "side",
    )
    list_select_related = ("photo", "individual")
    search_fields = ("photo__original_name", "individual__code")
    show_full_result_count = False


@admin.register(Sighting)
class SightingAdmin(ReadOnly, admin.ModelAdmin[Sighting]):
    list_display = (
        "__str__",
        "individual",
        "status",
        "confirmed_by",
        "confirmed_at",
    )
    list_filter = ("status", "encounter__population")
    list_select_related = ("encounter", "individual", "confirmed_by")
    search_fields = ("encounter__name", "individual__code")


@admin.register(ImportBatch)
class ImportBatchAdmin(ReadOnly, admin.ModelAdmin[ImportBatch]):
    list_display = (
        "__str__",
        "population",
        "source",
        "labels",
        "status",
        "created_by",
        "created_at",
    )
    list_filter = ("population", "source", "labels", "status")
    list_select_related = ("population", "created_by")
    search_fields = ("population__name", "created_by__username", "csv_name")


@admin.register(ImportFile)
class ImportFileAdmin(ReadOnly, admin.ModelAdmin[ImportFile]):
    list_display = ("path", "batch", "outcome", "reason", "photo")
    list_filter = ("outcome", "batch__population")
    list_select_related = ("batch", "photo")
    search_fields = ("path", "reason")
    show_full_result_count = False
