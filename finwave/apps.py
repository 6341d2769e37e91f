from __future__ import annotations

from django.apps import AppConfig


class FinwaveConfig(AppConfig):
    name = "finwave"
