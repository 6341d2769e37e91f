"""Train an identification model: `python -m finwave.ml.train JOB_FOLDER`.

The folder holds `job.json`; events, checkpoints, weights and the result are written
beside it. Started again in the same folder, it goes on exactly where it was. SIGTERM or
a file named `stop` ends it after the current step, with a checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finwave.ml.checkpoint import HEAD, load_weights
from finwave.ml.config import ConfigError, TrainConfig
from finwave.ml.data import AUGMENTATION, augmented, epoch_batches
from finwave.ml.errors import TrainingError
from finwave.ml.evaluate import Evaluation, embed, evaluate
from finwave.ml.events import EventLog
from finwave.ml.journal import Journal, Progress, write_result
from finwave.ml.losses import ArcFace
from finwave.ml.model import EmbeddingModel, uses_bf16
from finwave.ml.optimisation import (
    build_optimizer,
    check_finite,
    clip,
    freeze,
    set_learning_rate,
)
from finwave.ml.seed import seed_everything
from finwave.ml.training_set import Item, TrainingSet, read_training_set

logger = logging.getLogger(__name__)

STEP_EVENT_S = 1.0  # at most one step event in so many seconds
PLAIN_FAILURE = 3  # exit code: error.txt has the sentence
# A machine's answer to a batch that does not fit, in torch's various words.
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class Stopped(Exception):
    """Somebody asked for the end; raised only where nothing is half done."""


class StepEvents:
    """Tells of the steps, at most once a second."""

    def __init__(self, events: EventLog, n_steps: int) -> None:
        self._events = events
        self._n_steps = n_steps
        self._last = time.monotonic() - STEP_EVENT_S
        self._losses: list[float] = []

    def step(self, epoch: int, step: int, loss: float, learning_rate: float) -> None:
        """Count a step; the event has the mean loss of the steps since the last."""
        self._losses.append(loss)
        if time.monotonic() - self._last < STEP_EVENT_S:
            return
        self._last = time.monotonic()
        data = {
            "epoch": epoch,
            "step": step,
            "n_steps": self._n_steps,
            "loss": sum(self._losses) / len(self._losses),
            "learning_rate": learning_rate,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }
        self._losses.clear()
        self._events.write("step", data)


def build(
    config: TrainConfig, classes: list[str], start_weights: Path | None
) -> tuple[EmbeddingModel, ArcFace, str]:
    """Return the network, the class centres, and where their weights are from.

    Args:
        config: architecture, sizes, margin and scale are used.
        classes: individual codes, in the order of the head's rows.
        start_weights: a snapshot's safetensors; centres of individuals that it knows
            are taken over by code.

    Raises:
        TrainingError: the snapshot is of another architecture or size.
    """
    model = EmbeddingModel(
        config.architecture,
        image_size_px=config.image_size_px,
        embedding_size=config.embedding_size,
        pooling=config.pooling,
        pretrained=start_weights is None,
    )
    head = ArcFace(
        config.embedding_size,
        len(classes),
        margin=config.margin,
        scale=config.scale,
        label_smoothing=config.label_smoothing,
    )
    if start_weights is None:
        return model, head, model.start_weights_note

    tensors, metadata = load_weights(start_weights)
    centres = tensors.pop(HEAD + "weight")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        was = json.loads(metadata["config"])
        message = (
            f"The snapshot is a {was['architecture']} at {was['image_size_px']} pixels "
            f"with {was['pooling']} pooling and embeddings of {was['embedding_size']}; "
            "choose the same to start from it."
        )
        raise TrainingError(message) from error
    known = {code: row for row, code in enumerate(json.loads(metadata["classes"]))}
    shared = [(i, known[code]) for i, code in enumerate(classes) if code in known]
    with torch.no_grad():
        for i, row in shared:
            head.weight[i] = centres[row]
    note = f"Starts from a snapshot that knows {len(shared)} of these individuals."
    return model, head, note


def measure(
    data: TrainingSet,
    model: EmbeddingModel,
    head: ArcFace,
    *,
    bf16: bool,
    should_stop: Callable[[], bool],
) -> Evaluation | None:
    """Ask the validation crops about the training crops; None if there are none.

    Raises:
        Stopped: before it was done.
    """
    if len(data.split.validation) == 0:
        return None
    device = head.weight.device
    both = []
    for rows in (data.split.validation, data.split.train):
        images = data.store.exact[rows]
        embeddings = embed(
            model, images, device=device, bf16=bf16, should_stop=should_stop
        )
        if embeddings is None:
            raise Stopped
        both.append(embeddings)
    return evaluate(
        both[0],
        both[1],
        data.labels[data.split.validation],
        data.labels[data.split.train],
        head,
    )


def usable_cores() -> int:
    """Return the cores this process may use, which a container may limit."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_over(config: TrainConfig, progress: Progress) -> bool:
    """Return whether all epochs are done, or nothing has got better for long."""
    patience = config.early_stopping_epochs
    is_stale = 0 < patience <= progress.epoch - progress.best_epoch
    return progress.epoch >= config.epochs or is_stale


def fit(
    config: TrainConfig,
    items: Sequence[Item],
    *,
    folder: Path,
    events: EventLog,
    should_stop: Callable[[], bool],
    start_weights: Path | None = None,
) -> Progress:
    """Train until the last epoch or an early stop.

    Args:
        config: of the job.
        items: labelled crops.
        folder: where checkpoints and weights go, and are found again.
        events: what happens, for people to watch.
        should_stop: asked before every step.
        start_weights: safetensors of a snapshot to start from.

    Returns:
        How it went; `best.safetensors` and `last.safetensors` hold the weights.

    Raises:
        Stopped: `should_stop` said so; the checkpoint is written.
        TrainingError: what a person can put right, in a sentence.
    """
    # Seed and device.
    threads = config.threads or usable_cores()
    torch.set_num_threads(threads)
    seed_everything(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = uses_bf16(config.architecture, device, config.mixed_precision)

    # Data.
    data = read_training_set(
        config,
        items,
        folder=folder,
        threads=threads,
        events=events,
        should_stop=should_stop,
    )
    if data is None:
        raise Stopped
    labels, train_rows = data.labels, data.split.train

    # Model.
    model, head, note = build(config, data.classes, start_weights)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    head = head.to(device)
    events.log(note, level="warning" if "RANDOM" in note else "info", once=True)
    where = f"{threads} CPU threads" if device.type == "cpu" else "the GPU"
    number = "bfloat16" if bf16 else "float32"
    events.log(f"Trains on {where} in {number}.", once=True)

    # Optimiser, and what an earlier process left.
    optimizer = build_optimizer(config, model, head)
    journal = Journal(config, data, model, head, optimizer, folder, events, note)
    progress = journal.resume()
    n_steps = len(batches_of(config, data, epoch=1))
    step_events = StepEvents(events, n_steps)

    while not is_over(config, progress):
        epoch = progress.epoch + 1
        model.train()
        freeze(model.backbone, epoch <= config.head_warmup_epochs)

        for batch in batches_of(config, data, epoch=epoch)[progress.step :]:
            if should_stop():
                journal.stop(progress)
                raise Stopped
            # Move.
            started = time.perf_counter()
            rows = train_rows[batch]
            images = augmented(
                data.store.roomy[rows],
                keys=[(config.seed, AUGMENTATION, epoch, int(i)) for i in batch],
                image_size_px=config.image_size_px,
                strength=config.augmentation,
                hflip=config.hflip,
                mean=model.mean,
                std=model.std,
                device=device,
            )
            targets = torch.from_numpy(labels[rows]).to(device)

            # Forward, loss, backward, clip, step.
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                embeddings = model(images)
            loss = head(embeddings, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = clip(config.gradient_clip, model, head)
            value = loss.item()
            check_finite(value, norm.item(), epoch=epoch, config=config)
            moment = progress.epoch + (progress.step + 1) / n_steps
            rate = set_learning_rate(config, optimizer, moment)
            optimizer.step()

            # Log.
            progress.step += 1
            progress.loss_sum += value * len(batch)
            progress.n_seen += len(batch)
            progress.seconds += time.perf_counter() - started
            step_events.step(epoch, progress.step, value, rate)

        # Evaluate.
        started = time.perf_counter()
        try:
            evaluation = measure(data, model, head, bf16=bf16, should_stop=should_stop)
        except Stopped:
            journal.stop(progress)
            raise
        if evaluation is not None:
            check_finite(evaluation.loss, 0.0, epoch=epoch, config=config)

        # Checkpoint.
        journal.end_epoch(
            progress,
            evaluation,
            learning_rate=set_learning_rate(config, optimizer, epoch),
            evaluation_s=time.perf_counter() - started,
        )
    return progress


def batches_of(
    config: TrainConfig, data: TrainingSet, *, epoch: int
) -> list[NDArray[np.int64]]:
    return epoch_batches(
        data.labels[data.split.train],
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=epoch,
        balanced=config.balanced_sampler,
    )


def stop_asker(folder: Path) -> Callable[[], bool]:
    """Return what tells whether to end: SIGTERM, a file `stop`, or a lost parent."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: asked.append(received))
    parent = os.environ.get("FINWAVE_PARENT_PID", "")
    stop_file = folder / "stop"

    def should_stop() -> bool:
        is_orphan = parent.isdigit() and os.getppid() != int(parent)
        return bool(asked) or is_orphan or stop_file.exists()

    return should_stop


def read_job(folder: Path) -> tuple[TrainConfig, list[Item], Path | None]:
    """Return what `job.json` asks for.

    Raises:
        TrainingError: the settings cannot be used.
    """
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    try:
        config = TrainConfig.from_json(job["config"])
    except ConfigError as error:
        raise TrainingError(str(error)) from error
    items = [
        Item(
            crop=Path(item["crop"]),
            individual=item["individual"],
            encounter=item["encounter"],
            side=item["side"] or "",
            annotation=item["annotation"],
            photo=item["photo"],
        )
        for item in job["items"]
    ]
    start = job.get("start_weights")
    return config, items, Path(start) if start else None


def main(folder: Path) -> int:
    """Run the job of a folder; return the exit code."""
    should_stop = stop_asker(folder)
    for name in ("result.json", "error.txt"):
        (folder / name).unlink(missing_ok=True)
    with closing(EventLog(folder / "events.jsonl")) as events:
        return run(folder, events, should_stop)


def run(folder: Path, events: EventLog, should_stop: Callable[[], bool]) -> int:
    """Train, and leave `result.json` or `error.txt`; return the exit code."""
    try:
        config, items, start_weights = read_job(folder)
        progress = fit(
            config,
            items,
            folder=folder,
            events=events,
            should_stop=should_stop,
            start_weights=start_weights,
        )
    except Stopped:
        write_result(folder, "stopped")
        return 0
    except (TrainingError, MemoryError, RuntimeError) as error:
        sentence = plain_sentence(error)
        if sentence is None:
            raise
        logger.exception("folder=%s training failed", folder)
        events.log(sentence, level="error")
        if (folder / "best.safetensors").exists():
            write_result(folder, "failed")
        (folder / "error.txt").write_text(sentence + "\n", encoding="utf-8")
        return PLAIN_FAILURE
    events.log(f"Finished after {progress.epoch} epochs; best: {progress.best_epoch}.")
    write_result(folder, "finished")
    return 0


def plain_sentence(error: Exception) -> str | None:
    """Return what to tell the user, or None for an error in the program."""
    if isinstance(error, TrainingError):
        return str(error)
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return (
            "Training ran out of memory. Choose a smaller batch size, smaller images "
            "or a smaller architecture."
        )
    return None


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    sys.exit(main(Path(sys.argv[1])))
