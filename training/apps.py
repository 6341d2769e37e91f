from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from finwave.jobs import kinds
        from populations import stations

        kinds.register(
            kinds.JobKind(
                name="training.identification",
                queue="train",
                handler="training.tasks.run_identification",
                can_view="populations.access.can_view_job",
                can_stop="populations.access.can_stop_job",
                url="training.queries.page_of_job",
                on_ended="training.tasks.leave_snapshot_when_given_up",
            )
        )
        stations.register(stations.MODEL, "training.queries.station")
