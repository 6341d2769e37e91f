"""What goes by itself: expired snapshots and files that nothing points at."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django_q.models import Schedule

from snapshots import store
from snapshots.exceptions import SnapshotError
from snapshots.models import Snapshot
from snapshots.services.snapshots import delete_snapshot

logger = logging.getLogger(__name__)

EXPIRE_EVERY_MINUTES = 60


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """What expired, and how much of it is gone."""

    names: tuple[str, ...]
    size_bytes: int
    is_dry_run: bool


def expire_snapshots(*, is_dry_run: bool = False) -> ExpiryReport:
    """Delete the temporary snapshots whose lifetime is over; safe to repeat."""
    names = []
    size_bytes = 0
    for snapshot in Snapshot.objects.expired().select_related("model"):
        if not is_dry_run:
            try:
                delete_snapshot(snapshot=snapshot)
            except SnapshotError:
                # Saved or deployed since it was listed.
                continue
        names.append(f"{snapshot.model}: {snapshot}")
        size_bytes += snapshot.size_bytes
    if names and not is_dry_run:
        logger.info("expired snapshots=%s size_bytes=%s", len(names), size_bytes)
    return ExpiryReport(tuple(names), size_bytes, is_dry_run)


def expire_and_sweep() -> None:
    expire_snapshots()
    store.sweep()


def ensure_schedules() -> None:
    """Write the schedule of the retention; repeated after each migration."""
    Schedule.objects.update_or_create(
        name="snapshots.expire",
        defaults={
            "func": "snapshots.tasks.expire",
            "schedule_type": Schedule.MINUTES,
            "minutes": EXPIRE_EVERY_MINUTES,
            "repeats": -1,
            "cluster": "cpu",
        },
    )
