"""Addresses of detectors, detection runs, crops, thresholds and the report."""

from __future__ import annotations

from django.urls import URLPattern, path

from populations.views import crops, detection_runs, detectors, report, thresholds

detector_urls: list[URLPattern] = [
    path("<slug:slug>/detectors/", detectors.detector_list, name="detector-list"),
    path(
        "<slug:slug>/detectors/new/", detectors.detector_create, name="detector-create"
    ),
    path(
        "<slug:slug>/detectors/<int:pk>/default/",
        detectors.detector_set_default,
        name="detector-set-default",
    ),
    path(
        "<slug:slug>/detectors/<int:pk>/delete/",
        detectors.detector_delete,
        name="detector-delete",
    ),
]
run_urls: list[URLPattern] = [
    path(
        "<slug:slug>/detection-runs/",
        detection_runs.detection_run_list,
        name="detection-run-list",
    ),
    path(
        "<slug:slug>/detection-runs/new/",
        detection_runs.detection_run_create,
        name="detection-run-create",
    ),
    path(
        "<slug:slug>/detection-runs/<int:pk>/",
        detection_runs.detection_run_detail,
        name="detection-run-detail",
    ),
]
training_data_urls: list[URLPattern] = [
    path("<slug:slug>/training-data/", crops.crop_list, name="crop-list"),
    path(
        "<slug:slug>/training-data/thresholds/",
        thresholds.threshold_edit,
        name="threshold-edit",
    ),
    path("<slug:slug>/training-data/report/", report.report, name="report"),
    path("<slug:slug>/training-data/report.csv", report.report_csv, name="report-csv"),
]
annotation_urls: list[URLPattern] = [
    path(
        "<slug:slug>/photos/<int:pk>/rescue/", crops.photo_rescue, name="photo-rescue"
    ),
    path(
        "<slug:slug>/annotations/undo/", crops.annotation_undo, name="annotation-undo"
    ),
    path(
        "<slug:slug>/annotations/<int:pk>/crop/",
        crops.annotation_crop,
        name="annotation-crop",
    ),
    path(
        "<slug:slug>/annotations/<int:pk>/drop/",
        crops.annotation_drop,
        name="annotation-drop",
    ),
    path(
        "<slug:slug>/annotations/<int:pk>/restore/",
        crops.annotation_restore,
        name="annotation-restore",
    ),
    path(
        "<slug:slug>/annotations/<int:pk>/relabel/",
        crops.annotation_relabel,
        name="annotation-relabel",
    ),
]

detection_urls: list[URLPattern] = [
    *detector_urls,
    *run_urls,
    *training_data_urls,
    *annotation_urls,
]
