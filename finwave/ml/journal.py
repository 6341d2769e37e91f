"""What a training leaves on disk, so that it can be killed at any moment.

The checkpoint `last.pt` is the truth. It is written first, whole, with the epoch's
events in it; weights and events follow from it and are written again when a process was
killed in between.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from finwave.ml.checkpoint import (
    HEAD,
    CheckpointState,
    load_checkpoint,
    save_checkpoint,
    save_weights,
    write_json,
)
from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError
from finwave.ml.evaluate import Evaluation, calibrate
from finwave.ml.events import EventLog
from finwave.ml.losses import ArcFace
from finwave.ml.metrics import bootstrap_interval
from finwave.ml.model import EmbeddingModel
from finwave.ml.seed import rng_for
from finwave.ml.training_set import TrainingSet

BOOTSTRAP = 4  # key of the random generator
N_EXAMPLES = 4
NOTHING = (-1.0, 0.0)  # worse than any score


@dataclass(slots=True)
class Progress:
    """Where a training stands; all of it is in the checkpoint."""

    epoch: int = 0  # completed epochs
    step: int = 0  # steps taken in the epoch after that
    loss_sum: float = 0.0  # over the crops of that epoch so far
    n_seen: int = 0  # crops
    seconds: float = 0.0  # spent in that epoch's steps
    best_epoch: int = 0
    best_score: tuple[float, float] = NOTHING  # mAP, then minus the loss
    metrics: dict[str, object] = field(default_factory=dict)  # of the best epoch
    calibration: dict[str, float | int] = field(default_factory=dict)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@dataclass(slots=True)
class Journal:
    """Reads and writes the files of one training job."""

    config: TrainConfig
    data: TrainingSet
    model: EmbeddingModel
    head: ArcFace
    optimizer: torch.optim.Optimizer
    folder: Path
    events: EventLog
    note: str  # where the first weights came from

    def resume(self) -> Progress:
        """Go back to the checkpoint, if there is one.

        Raises:
            TrainingError: it is of other crops or settings.
        """
        state = load_checkpoint(self.folder / "last.pt")
        if state is None:
            return Progress()
        if state["identity"] != self._identity():
            message = (
                "The crops or settings of this training have changed since it was "
                "interrupted, so it cannot go on. Start a new job."
            )
            raise TrainingError(message)
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"])
        progress = Progress(**state["progress"])
        if progress.step == 0:
            self._publish(progress)
        where = f"epoch {progress.epoch + 1}, after {progress.step} steps"
        self.events.log(f"Goes on where it was: {where}.")
        return progress

    def end_epoch(
        self,
        progress: Progress,
        evaluation: Evaluation | None,
        *,
        learning_rate: float,
        evaluation_s: float,
    ) -> None:
        """Record a completed epoch: checkpoint, weights, events.

        Args:
            progress: turned to the beginning of the next epoch.
            evaluation: None when there is no validation.
            learning_rate: of the head, at the end.
            evaluation_s: what the evaluation took.
        """
        epoch = progress.epoch + 1
        score = _score(evaluation)
        # On easy sets the first epochs find everybody; the loss still tells them apart.
        is_best = score > progress.best_score
        measured = _measured(evaluation)
        event: dict[str, object] = {
            "epoch": epoch,
            "train_loss": progress.loss_sum / progress.n_seen,
            **measured,
            "learning_rate": learning_rate,
            "photos_per_s": progress.n_seen / max(progress.seconds, 1e-9),
            "duration_s": progress.seconds + evaluation_s,
            "is_best": is_best,
        }
        if is_best or evaluation is None:
            progress.best_epoch = epoch
            progress.best_score = score
            progress.metrics = {
                "train_loss": event["train_loss"],
                **measured,
                **self._evidence(evaluation),
            }
            progress.calibration = self._calibration(evaluation)
        progress.events = [("metrics", event)]
        if evaluation is not None:
            progress.events.append(("examples", self._examples(epoch, evaluation)))
        progress.epoch, progress.step = epoch, 0
        progress.loss_sum, progress.n_seen, progress.seconds = 0.0, 0, 0.0
        self._save(progress)
        self._publish(progress)

    def stop(self, progress: Progress) -> None:
        """Save the unfinished epoch, exactly, for going on."""
        self._save(progress)
        if progress.epoch == 0 and progress.step > 0:
            self._save_weights("last.safetensors", epoch=0)
        kept = (
            f"what was learnt up to the best of {progress.epoch} whole epochs is kept"
            if progress.epoch
            else "no epoch is complete; what was learnt so far is kept, unmeasured"
            if progress.step
            else "nothing has been learnt yet"
        )
        at = f"epoch {progress.epoch + 1} after {progress.step} steps"
        self.events.log(f"Stopped in {at}: {kept}.")

    def _save(self, progress: Progress) -> None:
        has_cuda = torch.cuda.is_available()
        state: CheckpointState = {
            "identity": self._identity(),
            "classes": self.data.classes,
            "note": self.note,
            "progress": asdict(progress),
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if has_cuda else None,
        }
        save_checkpoint(self.folder / "last.pt", state)

    def _publish(self, progress: Progress) -> None:
        """Write what follows from the checkpoint of a completed epoch; idempotent."""
        if progress.best_epoch == progress.epoch:
            self._save_weights("best.safetensors", epoch=progress.epoch)
        self._save_weights("last.safetensors", epoch=progress.epoch)
        for kind, data in progress.events:
            self.events.write_once(kind, data)

    def _save_weights(self, name: str, *, epoch: int) -> None:
        head = {HEAD + key: value for key, value in self.head.state_dict().items()}
        save_weights(
            self.folder / name,
            {**self.model.state_dict(), **head},
            config=self.config,
            classes=self.data.classes,
            epoch=epoch,
        )

    def _identity(self) -> dict[str, object]:
        config = self.config.to_json()
        return {"config": config, "crops": self.data.fingerprint()}

    def _evidence(self, evaluation: Evaluation | None) -> dict[str, object]:
        """Return what the figures rest on: how many queries, and the interval."""
        split = self.data.split
        if evaluation is None:
            return {"split": split.note}
        low, high = bootstrap_interval(
            evaluation.is_right.astype(np.float64),
            self.data.encounters(split.validation),
            rng_for(self.config.seed, BOOTSTRAP),
        )
        return {
            "split": split.note,
            "n_queries": len(split.validation),
            "n_gallery": len(split.train),
            "n_validation_encounters": split.n_validation_encounters,
            "top1_interval": [low, high],
        }

    def _calibration(self, evaluation: Evaluation | None) -> dict[str, float | int]:
        if evaluation is None:
            return {}
        data = self.data
        query, gallery = data.split.validation, data.split.train
        return calibrate(
            evaluation,
            data.labels[query],
            data.labels[gallery],
            query_sides=data.sides(query),
            gallery_sides=data.sides(gallery),
            query_groups=data.encounters(query),
        )

    def _examples(self, epoch: int, evaluation: Evaluation) -> dict[str, object]:
        """Return the surest answers, right and wrong, of different individuals."""
        answers: dict[str, list[dict[str, object]]] = {"right": [], "wrong": []}
        shown: set[tuple[bool, str]] = set()
        for q in np.argsort(-evaluation.similarity, kind="stable"):
            query = self.data.items[self.data.split.validation[q]]
            match = self.data.items[self.data.split.train[evaluation.nearest[q]]]
            is_right = bool(evaluation.is_right[q])
            some = answers["right" if is_right else "wrong"]
            if len(some) == N_EXAMPLES or (is_right, query.individual) in shown:
                continue
            shown.add((is_right, query.individual))
            some.append(
                {
                    "annotation": query.annotation,
                    "individual": query.individual,
                    "match_annotation": match.annotation,
                    "match_individual": match.individual,
                    "similarity": round(float(evaluation.similarity[q]), 4),
                }
            )
        return {"epoch": epoch, **answers}


def write_result(folder: Path, outcome: str) -> None:
    """Write `result.json` from the checkpoint, whichever process wrote that.

    Args:
        folder: of the job.
        outcome: "finished", "stopped", or "failed" after a completed epoch.

    Note:
        `weights` names a file that is missing when not a single step was taken.
    """
    state = load_checkpoint(folder / "last.pt")
    progress = Progress(**state["progress"]) if state else Progress()
    write_json(
        folder / "result.json",
        {
            "outcome": outcome,
            "epoch": progress.epoch,
            "n_steps_unfinished": progress.step,
            "best_epoch": progress.best_epoch,
            "metrics": progress.metrics,
            "classes": state["classes"] if state else [],
            "calibration": progress.calibration,
            "weights": "best.safetensors" if progress.epoch else "last.safetensors",
            "start_weights_note": state["note"] if state else "",
        },
    )


def _score(evaluation: Evaluation | None) -> tuple[float, float]:
    if evaluation is None:
        return NOTHING
    return (evaluation.metrics.mean_average_precision, -evaluation.loss)


def _measured(evaluation: Evaluation | None) -> dict[str, object]:
    if evaluation is None:
        names = ("val_loss", "top1", "top5", "mean_average_precision")
        return dict.fromkeys(names)
    return {
        "val_loss": evaluation.loss,
        "top1": evaluation.metrics.top1,
        "top5": evaluation.metrics.top5,
        "mean_average_precision": evaluation.metrics.mean_average_precision,
    }
