from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


def ensure_schedules(*, using: str, **kwargs: Any) -> None:
    """Write the queue's schedules once the tables are there."""
    from django_q.models import Schedule

    from snapshots.services import retention

    if Schedule._meta.db_table in connections[using].introspection.table_names():
        retention.ensure_schedules()


class SnapshotsConfig(AppConfig):
    name = "snapshots"

    def ready(self) -> None:
        from finwave.jobs import kinds
        from populations import stations

        post_migrate.connect(ensure_schedules, sender=self)

        kinds.register(
            kinds.JobKind(
                name="snapshots.deployment",
                queue="cpu",
                handler="snapshots.tasks.run_deployment",
                can_view="populations.access.can_view_job",
                can_stop="populations.access.can_stop_job",
                url="snapshots.services.deployments.job_page",
                on_ended="snapshots.services.deployments.job_ended",
            )
        )
        kinds.register(
            kinds.JobKind(
                name="snapshots.onboarding",
                queue="cpu",
                handler="snapshots.tasks.run_onboarding",
                can_view="populations.access.can_view_job",
                can_stop="snapshots.access.can_stop_onboarding",
                url="snapshots.services.onboarding.job_page",
            )
        )
        stations.register(stations.MODEL, "snapshots.queries.stations.model")
        stations.register(stations.ENCOUNTERS, "snapshots.queries.stations.encounters")
