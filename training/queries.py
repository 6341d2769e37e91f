"""Composed reads for the pages of training."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from finwave.home import home
from finwave.jobs.models import Event, Job
from finwave.ml.config import PRESETS, TrainConfig
from populations.models import Annotation, Population
from populations.models.catalogue import natural_key
from populations.stations import Contribution, Figure, Step
from snapshots.models import Snapshot, TrainedModel
from training.curves import Reading, read_curves
from training.labels import LABELS
from training.models import EpochMetrics, TrainingJob, TrainingSet, TrainingSetItem


def page_of_job(job: Job) -> str:
    training_job = TrainingJob.objects.select_related("population").get(
        pk=job.subject_id
    )
    return reverse(
        "training:job-detail", args=[training_job.population.slug, training_job.pk]
    )


def jobs_of(population: Population) -> QuerySet[TrainingJob]:
    return TrainingJob.objects.filter(population=population).select_related(
        "job", "model", "training_set", "snapshot"
    )


def sets_of(population: Population) -> QuerySet[TrainingSet]:
    return TrainingSet.objects.filter(population=population).select_related(
        "created_by"
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A validation crop, whom the model took it for, and whether that is right."""

    is_right: bool
    query: Annotation
    match: Annotation
    individual: str
    suggested: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Monitor:
    """All that the monitor page shows of a job, read after `last_seq`."""

    last_seq: int
    epochs: list[EpochMetrics]
    reading: Reading
    log: list[Event]
    right: list[Example]
    wrong: list[Example]

    @property
    def best(self) -> EpochMetrics | None:
        return next((epoch for epoch in self.epochs if epoch.is_best), None)

    @property
    def last(self) -> EpochMetrics | None:
        return self.epochs[-1] if self.epochs else None

    def chart_points(self) -> list[dict[str, Any]]:
        """Return what the two charts draw, one entry an epoch."""
        return [
            {
                "epoch": e.epoch,
                "train_loss": e.train_loss,
                "val_loss": e.val_loss,
                "top1": e.top1,
                "mean_average_precision": e.mean_average_precision,
                "is_best": e.is_best,
            }
            for e in self.epochs
        ]


def monitor(training_job: TrainingJob) -> Monitor:
    job = training_job.job
    # The cursor first: what is written while we read comes again over the socket,
    # where it is recognised; nothing can be missed.
    last_seq = (
        Job.objects.values_list("last_seq", flat=True).get(pk=job.pk) if job else 0
    )
    epochs = list(training_job.epochs.all())
    log = list(job.events.filter(kind="log").order_by("-seq")[:200]) if job else []
    newest = job.events.filter(kind="examples").last() if job else None
    right, wrong = examples(newest.data) if newest else ([], [])
    return Monitor(
        last_seq=last_seq,
        epochs=epochs,
        reading=read_curves(
            [e.train_loss for e in epochs], [e.val_loss for e in epochs]
        ),
        log=log[::-1],
        right=right,
        wrong=wrong,
    )


def examples(data: dict[str, Any]) -> tuple[list[Example], list[Example]]:
    """Return the validation crops that went well and badly, with their matches."""
    rows = [*data.get("right", []), *data.get("wrong", [])]
    ids = {row[key] for row in rows for key in ("annotation", "match_annotation")}
    found = Annotation.objects.in_bulk([pk for pk in ids if pk is not None])
    built = [
        Example(
            is_right=row["individual"] == row["match_individual"],
            query=found[row["annotation"]],
            match=found[row["match_annotation"]],
            individual=row["individual"],
            suggested=row["match_individual"],
            similarity=row["similarity"],
        )
        for row in rows
        if row["annotation"] in found and row["match_annotation"] in found
    ]
    return [e for e in built if e.is_right], [e for e in built if not e.is_right]


METRIC_COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "top1",
    "top5",
    "mean_average_precision",
    "learning_rate",
    "photos_per_s",
    "duration_s",
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether there is enough to train on, and what is in the way."""

    n_crops: int
    n_individuals: int
    n_encounters: int
    n_single_encounter: int
    problems: list[str]
    warnings: list[str]

    @property
    def is_ready(self) -> bool:
        return not self.problems


def readiness(population: Population, *, min_crops: int = 2) -> Readiness:
    """Look at today's crops as a new training set would take them. One query."""
    rows = list(
        Annotation.objects.for_population(population)
        .training_data()
        .cut_out()
        .values_list("individual_id", "photo__encounter_id")
    )
    counts = Counter(individual for individual, _ in rows)
    kept = [(i, e) for i, e in rows if counts[i] >= min_crops]
    encounters: dict[int, set[int]] = {}
    for individual, encounter in kept:
        encounters.setdefault(individual, set()).add(encounter)
    single = sum(len(seen) < 2 for seen in encounters.values())
    problems, warnings = [], []
    if not rows:
        problems.append(
            "There are no crops with a name yet. Bring labelled photographs in and run "
            "the detection; tier 1 and tier 2 become crops."
        )
    elif len(encounters) < 2:
        problems.append(
            "At least two individuals with two crops each are needed to tell apart."
        )
    elif single == len(encounters):
        warnings.append(
            "No individual was seen in two encounters, so nothing can be held out for "
            "validation: the model's accuracy will not be measured."
        )
    elif single:
        warnings.append(
            f"{single} of {len(encounters)} individuals were seen in one encounter only: "
            "they are learnt, but not tested."
        )
    return Readiness(
        n_crops=len(kept),
        n_individuals=len(encounters),
        n_encounters=len({encounter for _, encounter in kept} - {None}),
        n_single_encounter=single,
        problems=problems,
        warnings=warnings,
    )


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    title: str
    text: str
    config: TrainConfig


def presets() -> list[Preset]:
    texts = {
        "laptop": (
            "Laptop",
            "A small network on small pictures: minutes without a graphics card.",
        ),
        "published": (
            "Published recipe",
            "The whale recipe of the literature. Meant for a graphics card.",
        ),
        "accuracy": (
            "Accuracy",
            "The small network with more pixels and more passes: an hour or so on a "
            "laptop.",
        ),
    }
    return [Preset(name, *texts[name], PRESETS[name]) for name in texts]


def job_initial(population: Population, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return what the form of a new job starts with: a snapshot, a job to clone."""
    initial: dict[str, Any] = {
        "model_name": free_model_name(population),
        "from_snapshot": asked.get("from_snapshot"),
        "training_set": asked.get("training_set"),
    }
    clone = (
        TrainingJob.objects.filter(
            population=population, pk=int(asked["clone"])
        ).first()
        if asked.get("clone", "").isdigit()
        else None
    )
    if clone:
        initial |= {
            **clone.config,
            "training_set": clone.training_set_id,
            "from_snapshot": clone.from_snapshot_id,
        }
    if asked.get("from_snapshot", "").isdigit():
        snapshot = (
            Snapshot.objects.for_population(population)
            .filter(pk=int(asked["from_snapshot"]))
            .first()
        )
        initial |= snapshot.config if snapshot else {}
    return initial


def free_model_name(population: Population) -> str:
    """Return "Identification 3" when two models of the population exist."""
    taken = set(
        TrainedModel.objects.filter(population=population).values_list(
            "name", flat=True
        )
    )
    numbers = itertools.count(len(taken) + 1)
    return next(name for n in numbers if (name := f"Identification {n}") not in taken)


def items_of(training_set: TrainingSet) -> QuerySet[TrainingSetItem]:
    return training_set.items.order_by("individual_code", "pk")


def crops_per_individual(training_set: TrainingSet) -> list[tuple[str, int]]:
    counts = Counter(training_set.items.values_list("individual_code", flat=True))
    return sorted(counts.items(), key=lambda pair: (pair[1], natural_key(pair[0])))


def config_rows(training_job: TrainingJob) -> list[tuple[str, Any]]:
    return [
        (LABELS[name][0], value)
        for name, value in training_job.config.items()
        if name in LABELS
    ]


def estimate_text(population: Population) -> str:
    """Say how long the last finished job took, which is all that is known beforehand."""
    last = (
        jobs_of(population)
        .filter(job__status=Job.Status.COMPLETED)
        .prefetch_related("epochs")
        .first()
    )
    if last is None:
        return "Known after the first epoch: nothing was trained on this machine yet."
    epochs = list(last.epochs.all())
    seconds = sum(epoch.duration_s for epoch in epochs)
    return (
        f"{last.model} took {max(round(seconds / 60), 1)} min for {len(epochs)} epochs of "
        f"{last.training_set.n_crops} crops with {last.config['architecture']} at "
        f"{last.config['image_size_px']} px."
    )


def free_bytes() -> int:
    return shutil.disk_usage(home()).free


def station(population: Population) -> Contribution:
    """What the overview says of training: how many jobs, and whether one is due."""
    n_jobs = TrainingJob.objects.filter(population=population).count()
    step = None
    if not n_jobs and readiness(population).is_ready:
        step = Step(
            "Train a model", reverse("training:job-create", args=[population.slug])
        )
    elif not n_jobs:
        step = Step(
            "Bring more photographs in",
            reverse("populations:import-create", args=[population.slug]),
        )
    return Contribution(
        figures=(Figure(n_jobs, "training job" if n_jobs == 1 else "training jobs"),),
        url=reverse("training:pipeline-list", args=[population.slug]),
        step=step,
    )
