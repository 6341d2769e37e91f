"""URLs of training, under /populations/<slug>/training/."""

from __future__ import annotations

from django.urls import path

from training.views import jobs, pipelines, sets

app_name = "training"

pipeline_urls = [
    path("<slug:slug>/training/", pipelines.pipeline_list, name="pipeline-list"),
]
# <slug>/training/sets/
set_urls = [
    path(
        "<slug:slug>/training/sets/", sets.training_set_list, name="training-set-list"
    ),
    path(
        "<slug:slug>/training/sets/new/",
        sets.training_set_create,
        name="training-set-create",
    ),
    path(
        "<slug:slug>/training/sets/<int:pk>/",
        sets.training_set_detail,
        name="training-set-detail",
    ),
]
# <slug>/training/jobs/
job_urls = [
    path("<slug:slug>/training/jobs/", jobs.job_list, name="job-list"),
    path("<slug:slug>/training/jobs/new/", jobs.job_create, name="job-create"),
    path("<slug:slug>/training/jobs/<int:pk>/", jobs.job_detail, name="job-detail"),
    path(
        "<slug:slug>/training/jobs/<int:pk>/metrics.csv",
        jobs.job_metrics,
        name="job-metrics",
    ),
]
urlpatterns = [*pipeline_urls, *set_urls, *job_urls]
