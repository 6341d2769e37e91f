"""URLs under /jobs/: progress and stop of any job."""

from __future__ import annotations

from django.urls import path

from finwave.jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="job-list"),
    path("<int:pk>/progress/", views.job_progress, name="job-progress"),
    path("<int:pk>/stop/", views.job_stop, name="job-stop"),
]
