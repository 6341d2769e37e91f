from __future__ import annotations

import json

import pytest

from finwave.home import job_folder
from finwave.jobs import services as job_services
from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from finwave.ml.config import TrainConfig
from snapshots.models import Snapshot
from snapshots.store import path_of
from training.models import TrainingJob
from training.services.jobs import start_training_job
from training.services.sets import freeze_training_set

TINY = TrainConfig(
    architecture="test_efficientnet",
    image_size_px=32,
    embedding_size=16,
    epochs=2,
    batch_size=4,
    threads=1,
)

# The supervising transactions of a job commit for real.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def training_job(population, trainer, make_crops) -> TrainingJob:
    make_crops(3)
    return start_training_job(
        population=population,
        training_set=freeze_training_set(
            population=population, name="Spring", user=trainer
        ),
        config=TINY,
        user=trainer,
        model_name="Fins",
    )


def test_training_leaves_curves_and_a_current_snapshot(training_job):
    run_job(training_job.job.pk)

    training_job.refresh_from_db()
    job, snapshot = training_job.job, training_job.snapshot
    assert job.status == Job.Status.COMPLETED, job.reason
    assert [e.epoch for e in training_job.epochs.all()] == [1, 2]
    assert training_job.epochs.filter(is_best=True).count() == 1
    assert snapshot.is_current
    assert snapshot.cause == Snapshot.Cause.FINISHED
    assert snapshot.n_annotations == 12
    assert snapshot.metrics["n_queries"] > 0
    assert path_of(snapshot.weights).is_file()
    kinds = list(job.events.values_list("kind", flat=True))
    assert kinds.count("metrics") == 2
    assert "snapshot" in kinds


def test_manifest_tells_training_from_validation(training_job):
    run_job(training_job.job.pk)

    training_job.refresh_from_db()
    listing = json.loads(path_of(training_job.snapshot.manifest).read_text())
    splits = {row["split"] for row in listing}
    assert splits == {"train", "validation"}
    assert {row["individual"] for row in listing} == set(training_job.snapshot.classes)


def test_second_delivery_does_nothing(training_job):
    run_job(training_job.job.pk)
    n_events = training_job.job.events.count()

    run_job(training_job.job.pk)

    assert training_job.job.events.count() == n_events
    assert Snapshot.objects.count() == 1


def test_worker_killed_before_the_snapshot_makes_one_with_the_next_attempt(
    training_job,
):
    run_job(training_job.job.pk)
    # As if the worker had died after the training process, before its snapshot.
    TrainingJob.objects.update(snapshot=None)
    Snapshot.objects.all().delete()
    Job.objects.filter(pk=training_job.job.pk).update(
        status=Job.Status.QUEUED, finished_at=None
    )
    n_metrics = training_job.job.events.filter(kind="metrics").count()

    run_job(training_job.job.pk)

    training_job.refresh_from_db()
    assert training_job.snapshot is not None
    assert training_job.job.events.filter(kind="metrics").count() == n_metrics


def test_stop_before_the_first_step_leaves_no_snapshot(training_job):
    job_services.stop_job(training_job.job)

    run_job(training_job.job.pk)

    training_job.refresh_from_db()
    assert training_job.job.status == Job.Status.STOPPED
    assert training_job.snapshot is None


def test_unusable_crops_fail_with_a_plain_reason(training_job):
    for item in training_job.training_set.items.all():
        path = job_folder(0).parents[1] / item.crop
        path.unlink()
        path.write_bytes(b"not a picture")

    run_job(training_job.job.pk)

    training_job.refresh_from_db()
    assert training_job.job.status == Job.Status.FAILED
    assert "individuals" in training_job.job.reason
    assert training_job.snapshot is None


def test_job_given_up_keeps_what_it_learnt(training_job):
    run_job(training_job.job.pk)
    TrainingJob.objects.update(snapshot=None)
    Snapshot.objects.all().delete()
    (job_folder(training_job.job.pk) / "result.json").unlink()
    Job.objects.filter(pk=training_job.job.pk).update(
        status=Job.Status.RUNNING,
        finished_at=None,
        lease_token="dead",
        failed_attempts=3,
    )

    job_services.requeue(
        training_job.job.pk, "dead", reason="Out of memory.", is_orderly=False
    )

    training_job.refresh_from_db()
    assert training_job.job.status == Job.Status.FAILED
    assert training_job.snapshot.cause == Snapshot.Cause.FAILED
    assert training_job.snapshot.metrics["top1"] is not None
