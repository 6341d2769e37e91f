"""Bring what a fresh database needs; safe to repeat at every start."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from populations.services import detectors


class Command(BaseCommand):
    help = "Bring what a fresh database needs: the bundled detector."

    def handle(self, *args: Any, **options: Any) -> None:
        detector = detectors.ensure_bundled()
        if detector is None:
            self.stderr.write("This installation brings no detector; upload one.")
        else:
            self.stdout.write(f"Bundled detector: {detector.name}")
