from __future__ import annotations

from django.apps import AppConfig


class PopulationsConfig(AppConfig):
    name = "populations"

    def ready(self) -> None:
        from finwave.jobs.kinds import JobKind, register
        from populations import stations

        on_ended = {
            "populations.detector-check": "populations.services.detectors.check_ended"
        }
        for name, handler in (
            ("populations.import", "populations.tasks.imports.run_import"),
            ("populations.detection", "populations.tasks.detection.run_detection"),
            (
                "populations.detector-check",
                "populations.tasks.detection.run_detector_check",
            ),
            ("populations.retier", "populations.tasks.detection.run_retier"),
            ("populations.demo", "populations.tasks.demo.run_demo"),
        ):
            register(
                JobKind(
                    name=name,
                    queue="cpu",
                    handler=handler,
                    can_view="populations.access.can_view_job",
                    can_stop="populations.access.can_stop_job",
                    url="populations.queries.jobs.page_of",
                    on_ended=on_ended.get(name, ""),
                )
            )
        stations.register(stations.PHOTOS, "populations.queries.overview.photos")
        stations.register(
            stations.TRAINING_DATA, "populations.queries.overview.training_data"
        )
        stations.register(
            stations.INDIVIDUALS, "populations.queries.overview.individuals"
        )
