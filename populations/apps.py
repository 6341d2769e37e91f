from __future__ import annotations

from django.apps import AppConfig


class PopulationsConfig(AppConfig):
    name = "populations"
