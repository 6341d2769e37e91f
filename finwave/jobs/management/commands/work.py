"""`manage.py work --queue cpu`: one worker, guarded, until it is told to end."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand
from setproctitle import setproctitle

from finwave.jobs import tether
from finwave.jobs.guardian import QUEUES, Guardian


class Command(BaseCommand):
    help = "Work on the jobs of one queue until Ctrl-C or SIGTERM."
    # A worker has no pages, and a mistake in one must not keep it from starting.
    requires_system_checks: list[str] = []  # noqa: RUF012 -- as Django declares it

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--queue",
            required=True,
            choices=QUEUES,
            help="cpu: imports, detection and the like; train: training",
        )

    def handle(self, *args: Any, queue: str, **options: Any) -> None:
        tether.watch_parent()
        setproctitle(f"finwave: {queue} worker")
        Guardian(queue).run()
