"""From the training process's events to rows and progress."""

from __future__ import annotations

from typing import Any

from finwave.jobs.running import JobRun
from finwave.jobs.services import update_held
from training.models import EpochMetrics, TrainingJob


class EventReader:
    """Takes a training process's events, one after the other, in their order."""

    def __init__(self, training_job: TrainingJob, run: JobRun) -> None:
        self.training_job = training_job
        self.run = run
        self.epochs = int(training_job.config["epochs"])
        self.n_steps = 0

    def __call__(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if event["kind"] == "metrics":
            self.store_epoch(data)
        elif event["kind"] == "step":
            self.store_progress(data)

    def store_epoch(self, data: dict[str, Any]) -> None:
        names = (
            "train_loss",
            "val_loss",
            "top1",
            "top5",
            "mean_average_precision",
            "learning_rate",
            "photos_per_s",
            "duration_s",
            "is_best",
        )
        if data.get("is_best"):
            self.training_job.epochs.filter(is_best=True).update(is_best=False)
        EpochMetrics.objects.update_or_create(
            training_job=self.training_job,
            epoch=data["epoch"],
            defaults={name: data.get(name) for name in names},
        )
        # Steps are told at most once a second, so an epoch's last ones may be missing.
        if self.n_steps:
            self.run.progress(data["epoch"] * self.n_steps, force=True)

    def store_progress(self, data: dict[str, Any]) -> None:
        n_steps = int(data["n_steps"])
        if not self.n_steps:
            self.n_steps = n_steps
            update_held(self.run.job_id, self.run.token, n_total=n_steps * self.epochs)
        self.run.progress(
            (int(data["epoch"]) - 1) * n_steps + int(data["step"]),
            phase=f"Epoch {data['epoch']} of {self.epochs}, step {data['step']} of {n_steps}",
        )
