"""URLs of the whole project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="populations:population-list")),
    path("admin/", admin.site.urls),
    path("accounts/", include("finwave.accounts.urls")),
    path("jobs/", include("finwave.jobs.urls")),
    path("populations/", include("populations.urls")),
    path("populations/", include("snapshots.urls")),
    path("populations/", include("training.urls")),
]
