"""Entry points of the queue and handlers of the jobs: load the row, call, done."""

from __future__ import annotations

from finwave.jobs.running import JobRun
from snapshots.models import Deployment, Onboarding
from snapshots.services import deployments, onboarding, retention


def expire() -> None:
    retention.expire_and_sweep()


def run_deployment(run: JobRun) -> None:
    deployment = (
        Deployment.objects.select_related(
            "snapshot__weights", "snapshot__model", "population", "encoder"
        )
        .filter(pk=run.subject_id)
        .first()
    )
    if deployment:
        deployments.deploy(run, deployment)


def run_onboarding(run: JobRun) -> None:
    row = (
        Onboarding.objects.select_related(
            "encounter__population__default_detector", "detection_run"
        )
        .filter(encounter_id=run.subject_id)
        .first()
    )
    if row:
        onboarding.onboard(run, row)
