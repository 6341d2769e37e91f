"""Starting a training job, and leaving its snapshot when it ends."""

from __future__ import annotations

import json
import logging
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from safetensors import safe_open

from finwave.home import home, job_folder
from finwave.jobs import services as job_services
from finwave.jobs.models import Job
from finwave.ml.config import TrainConfig
from populations.models import Population
from snapshots import store
from snapshots.models import Snapshot, TrainedModel
from snapshots.services.snapshots import ManifestItem, take_snapshot
from training.exceptions import TrainingRefused
from training.models import TrainingJob, TrainingSet, TrainingSetItem
from training.services.sets import link_or_copy

logger = logging.getLogger(__name__)

START_WEIGHTS = "start.safetensors"


def start_training_job(
    *,
    population: Population,
    training_set: TrainingSet,
    config: TrainConfig,
    user: User | None,
    model_name: str = "",
    from_snapshot: Snapshot | None = None,
    continue_model: bool = False,
) -> TrainingJob:
    """Queue a training job, on a new model or further along an existing one.

    Raises:
        TrainingRefused: if the model's name is taken, or the architecture differs
            from that of the snapshot it starts from.
    """
    if from_snapshot and from_snapshot.model.architecture != config.architecture:
        raise TrainingRefused(
            f"{from_snapshot} is a {from_snapshot.model.architecture}; a "
            f"{config.architecture} cannot start from its weights. Choose the same "
            "architecture, or no snapshot."
        )
    if continue_model and from_snapshot is None:
        raise TrainingRefused("Choose the snapshot to continue from.")
    with transaction.atomic():
        model = (
            from_snapshot.model
            if continue_model and from_snapshot
            else new_model(population, model_name, config, user, from_snapshot)
        )
        if unfinished_jobs_of(model).exists():
            raise TrainingRefused(
                f"{model} is being trained just now. Wait for that job, or stop it."
            )
        training_job = TrainingJob.objects.create(
            population=population,
            pipeline=TrainingJob.Pipeline.IDENTIFICATION,
            training_set=training_set,
            model=model,
            from_snapshot=from_snapshot,
            config=config.to_json(),
            created_by=user,
        )
        training_job.job = job_services.start_job(
            kind="training.identification",
            scope_id=population.pk,
            subject_id=training_job.pk,
            title=f"Train {model}",
            user=user,
            unit="steps",
        )
        training_job.save(update_fields=["job"])
        if from_snapshot:
            # A link of the job's own: the snapshot may expire while the job waits.
            link_or_copy(
                store.path_of(from_snapshot.weights),
                job_folder(training_job.job.pk) / START_WEIGHTS,
            )
    return training_job


def unfinished_jobs_of(model: TrainedModel) -> Any:
    return TrainingJob.objects.filter(
        model=model, job__status__in=(*Job.ACTIVE, Job.Status.QUEUED)
    )


def new_model(
    population: Population,
    name: str,
    config: TrainConfig,
    user: User | None,
    parent: Snapshot | None,
) -> TrainedModel:
    if not name:
        raise TrainingRefused("Give the new model a name.")
    if TrainedModel.objects.filter(population=population, name=name).exists():
        raise TrainingRefused(f"There is a model named {name} already.")
    return TrainedModel.objects.create(
        population=population,
        name=name,
        task=TrainedModel.Task.IDENTIFICATION,
        architecture=config.architecture,
        parent_snapshot=parent,
        created_by=user,
    )


def write_job_file(training_job: TrainingJob, job_id: int) -> Path:
    """Write what the training process reads, and return its folder."""
    folder = job_folder(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    start = folder / START_WEIGHTS
    content = {
        "config": training_job.config,
        "items": [job_item(item) for item in training_job.training_set.items.all()],
        "start_weights": str(start) if start.exists() else None,
    }
    temporary = folder / f"job.json.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(folder / "job.json")
    return folder


def job_item(item: TrainingSetItem) -> dict[str, Any]:
    return {
        "crop": str(home() / item.crop),
        "individual": item.individual_code,
        "encounter": item.encounter_id,
        "side": item.side,
        "annotation": item.annotation_id,
        "photo": item.photo_id,
        "item": item.pk,
    }


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def leave_snapshot(training_job: TrainingJob, cause: str) -> Snapshot | None:
    """Put what the job has learnt on the model's timeline; None if that is nothing.

    Idempotent: called again, it finds the snapshot that is there.
    """
    training_job.refresh_from_db()
    if training_job.snapshot is not None:
        return training_job.snapshot
    if training_job.job is None:
        return None
    folder = job_folder(training_job.job.pk)
    result = read_json(folder / "result.json") or salvage(training_job, folder)
    if result is None or not (folder / result["weights"]).exists():
        return None
    snapshot = take_snapshot(
        model=training_job.model,
        weights_path=folder / result["weights"],
        config=training_job.config,
        classes=result["classes"],
        metrics={
            **result["metrics"],
            "start_weights": result["start_weights_note"],
            "n_epochs": result.get("epoch", result["best_epoch"]),
        },
        calibration=result["calibration"],
        manifest=manifest(training_job, read_json(folder / "split.json") or {}),
        cause=cause,
        job_number=training_job.pk,
        job_title=training_job.job.title,
        epoch=result["best_epoch"],
        code_version=version("finwave"),
    )
    TrainingJob.objects.filter(pk=training_job.pk).update(snapshot=snapshot)
    logger.info("training_job=%s left snapshot=%s", training_job.pk, snapshot.pk)
    return snapshot


def salvage(training_job: TrainingJob, folder: Path) -> dict[str, Any] | None:
    """Return the result of a process that was killed for good, from what it left.

    The best weights say what they are; their figures are in the rows of the epochs.
    """
    weights = folder / "best.safetensors"
    if not weights.exists():
        return None
    with safe_open(weights, framework="np") as file:
        metadata = file.metadata()
    best = training_job.epochs.filter(epoch=int(metadata["epoch"])).first()
    names = ("train_loss", "val_loss", "top1", "top5", "mean_average_precision")
    return {
        "weights": weights.name,
        "classes": json.loads(metadata["classes"]),
        "best_epoch": int(metadata["epoch"]),
        "metrics": {name: getattr(best, name) for name in names} if best else {},
        "calibration": {},
        "start_weights_note": "",
    }


def manifest(training_job: TrainingJob, split: dict[str, Any]) -> list[ManifestItem]:
    """Return one entry an annotation that the job was trained or validated on."""
    validation = set(split.get("val", []))
    skipped = {row["item"] for row in split.get("skipped", [])}
    items = training_job.training_set.items.all()
    return [
        {
            "annotation": item.annotation_id,
            "photo": item.photo_id,
            "individual": item.individual_code,
            "encounter": item.encounter_id,
            "side": item.side,
            "box": item.box_xyxy,
            "split": "validation" if index in validation else "train",
            "crop": item.crop,
            "sha256": item.crop_sha256,
        }
        for index, item in enumerate(items)
        if index not in skipped
    ]
