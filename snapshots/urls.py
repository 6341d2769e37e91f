"""URLs under /populations/<slug>/ of models, snapshots, deployments and reviews."""

from __future__ import annotations

from django.urls import path

from snapshots.views import deployments, encounters, models, review, snapshots

app_name = "snapshots"

model_urls = [
    path("<slug:slug>/models/", models.model_list, name="model-list"),
    path("<slug:slug>/models/<int:pk>/", models.model_detail, name="model-detail"),
]
snapshot_urls = [
    path(
        "<slug:slug>/snapshots/<int:pk>/",
        snapshots.snapshot_detail,
        name="snapshot-detail",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/save/",
        snapshots.snapshot_save,
        name="snapshot-save",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/unsave/",
        snapshots.snapshot_unsave,
        name="snapshot-unsave",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/rename/",
        snapshots.snapshot_rename,
        name="snapshot-rename",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/notes/",
        snapshots.snapshot_notes,
        name="snapshot-notes",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/deploy/",
        snapshots.snapshot_deploy,
        name="snapshot-deploy",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/weights/",
        snapshots.snapshot_weights,
        name="snapshot-weights",
    ),
    path(
        "<slug:slug>/snapshots/<int:pk>/delete/",
        snapshots.snapshot_delete,
        name="snapshot-delete",
    ),
]
deployment_urls = [
    path(
        "<slug:slug>/deployments/<int:pk>/",
        deployments.deployment_detail,
        name="deployment-detail",
    ),
    path(
        "<slug:slug>/deployments/<int:pk>/retire/",
        deployments.deployment_retire,
        name="deployment-retire",
    ),
]
review_urls = [
    path(
        "<slug:slug>/encounters/new/",
        encounters.encounter_create,
        name="encounter-create",
    ),
    path(
        "<slug:slug>/encounters/<int:pk>/review/",
        review.encounter_review,
        name="encounter-review",
    ),
    path(
        "<slug:slug>/encounters/<int:pk>/identify/",
        encounters.encounter_identify,
        name="encounter-identify",
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/accept/",
        review.sighting_accept,
        name="sighting-accept",
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/choose/",
        review.sighting_choose,
        name="sighting-choose",
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/new/", review.sighting_new, name="sighting-new"
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/skip/",
        review.sighting_skip,
        name="sighting-skip",
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/split/",
        review.sighting_split,
        name="sighting-split",
    ),
    path(
        "<slug:slug>/sightings/<int:pk>/merge/",
        review.sighting_merge,
        name="sighting-merge",
    ),
    path(
        "<slug:slug>/identifications/<int:pk>/undo/",
        review.identification_undo,
        name="identification-undo",
    ),
]

urlpatterns = [*model_urls, *snapshot_urls, *deployment_urls, *review_urls]
