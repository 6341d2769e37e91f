"""Entry points of the queue and handlers of the jobs: load the row, call, done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from finwave.jobs.exceptions import JobError
from finwave.jobs.running import JobRun
from snapshots.exceptions import StoreError
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
        with store_errors_for_the_user():
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
        with store_errors_for_the_user():
            onboarding.onboard(run, row)


@contextmanager
def store_errors_for_the_user() -> Iterator[None]:
    """A damaged or missing file is a plain failure: trying again does not help."""
    try:
        yield
    except StoreError as error:
        raise JobError(str(error)) from error
