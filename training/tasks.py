"""What the train queue runs: one supervised training process for each job."""

from __future__ import annotations

import sys
from pathlib import Path

from django.conf import settings

from finwave.jobs.exceptions import JobError, ProcessDied
from finwave.jobs.models import Job
from finwave.jobs.running import JobRun
from finwave.jobs.services import update_held
from finwave.jobs.subprocesses import supervise
from snapshots.models import Snapshot
from training.models import TrainingJob
from training.services.jobs import leave_snapshot, read_json, write_job_file
from training.services.metrics import EventReader

PLAIN_FAILURE = 3

# Threads that wait for each other must not spin for long: with a detection beside it on
# the same cores, training was 8 to 80 times slower by OpenMP's default
# (docs/experiments.md).
WAIT_BRIEFLY = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def run_identification(run: JobRun) -> None:
    """Train, or go on training, until the process ends; then leave its snapshot."""
    training_job = TrainingJob.objects.select_related("from_snapshot").get(
        pk=run.subject_id
    )
    folder = write_job_file(training_job, run.job_id)
    # The total of an earlier attempt stays, so that only what goes beyond it counts as
    # progress.
    n_total = Job.objects.values_list("n_total", flat=True).get(pk=run.job_id)
    run.begin(n_total=n_total, phase="Reading the crops")
    result = read_json(folder / "result.json")
    # A worker killed after the process had ended finds its result here.
    if result is None or (result["outcome"] == "stopped" and not run.should_stop()):
        (folder / "result.json").unlink(missing_ok=True)
        train(run, training_job, folder)
        result = read_json(folder / "result.json")
    if result is None and not run.is_stopping:
        raise JobError("The training process ended without a result.")
    finished = result is not None and result["outcome"] == "finished"
    if not finished and not run.is_stopping:
        raise ProcessDied("Somebody ended the training process; it goes on.")
    update_held(run.job_id, run.token, phase="Writing the snapshot")
    snapshot = leave_snapshot(
        training_job, Snapshot.Cause.FINISHED if finished else Snapshot.Cause.STOPPED
    )
    if snapshot:
        run.event("snapshot", {"snapshot": snapshot.pk, "name": snapshot.name})


def train(run: JobRun, training_job: TrainingJob, folder: Path) -> None:
    code = supervise(
        run,
        [sys.executable, "-m", "finwave.ml.train", str(folder)],
        folder=folder,
        on_event=EventReader(training_job, run),
        env={**WAIT_BRIEFLY, "FINWAVE_WEIGHTS": str(settings.FINWAVE_WEIGHTS)},
    )
    # Killed, because it did not end when it was asked to: what it saved stands.
    if code == 0 or (code < 0 and run.is_stopping):
        return
    leave_snapshot(training_job, Snapshot.Cause.FAILED)
    error = folder / "error.txt"
    if code == PLAIN_FAILURE and error.exists():
        raise JobError(error.read_text(encoding="utf-8").strip())
    raise JobError(
        f"The training process ended by an error in the program (exit code {code}). Its "
        f"last words are in {folder / 'output.log'}. What was learnt before is kept."
    )


def leave_snapshot_when_given_up(job: Job) -> None:
    """Keep what a job learnt that was given up after its process died again and again."""
    training_job = TrainingJob.objects.filter(job=job).first()
    if training_job and job.status == Job.Status.FAILED:
        leave_snapshot(training_job, Snapshot.Cause.FAILED)
