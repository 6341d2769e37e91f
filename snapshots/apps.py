from __future__ import annotations

from django.apps import AppConfig


class SnapshotsConfig(AppConfig):
    name = "snapshots"

    def ready(self) -> None:
        from finwave.jobs import kinds
        from populations import stations

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
