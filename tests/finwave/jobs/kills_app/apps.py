from __future__ import annotations

from django.apps import AppConfig

from finwave.jobs import kinds


class KillsConfig(AppConfig):
    name = "tests.finwave.jobs.kills_app"
    label = "kills_app"

    def ready(self):
        for name in ("count", "train", "suicide"):
            kinds.register(
                kinds.JobKind(
                    name=name,
                    queue="cpu",
                    handler=f"{self.name}.handlers.{name}",
                    can_view=f"{self.name}.handlers.anybody",
                    can_stop=f"{self.name}.handlers.anybody",
                    url=f"{self.name}.handlers.url",
                )
            )
