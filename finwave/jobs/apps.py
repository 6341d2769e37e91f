from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "finwave.jobs"
    verbose_name = "jobs"
