"""Files that are complete or absent: resume checkpoints, and weights alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError

FORMAT = "finwave-identification-1"
HEAD = "head."  # prefix of the class centres among the weights


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that its name always stands for a whole one.

    Args:
        path: final name; replaced if it exists.
        write: writes to the temporary name it is given, in the same folder.

    Note:
        A kill leaves at most one `.tmp` file, which the next call overwrites.
    """
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write JSON whole; NaN is refused, for no browser reads it."""
    text = json.dumps(data, indent=1, allow_nan=False)
    write_file(path, lambda temporary: _write_text(temporary, text))


class CheckpointState(TypedDict):
    """Everything needed to go on exactly: tensors and plain values only."""

    identity: dict[str, Any]  # settings and crops that it belongs to
    classes: list[str]
    note: str  # where the first weights came from
    progress: dict[str, Any]
    model: dict[str, Tensor]
    head: dict[str, Tensor]
    optimizer: dict[str, Any]
    rng: Tensor
    cuda_rng: Tensor | None


def save_checkpoint(path: Path, state: CheckpointState) -> None:
    """Save a checkpoint; `load_checkpoint` reads it without running code from it."""
    write_file(path, lambda temporary: torch.save(dict(state), temporary))


def load_checkpoint(path: Path) -> CheckpointState | None:
    """Return what `save_checkpoint` saved, or None where nothing was saved yet."""
    if not path.exists():
        return None
    state: CheckpointState = torch.load(path, map_location="cpu", weights_only=True)
    return state


def save_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    config: TrainConfig,
    classes: list[str],
    epoch: int,
) -> None:
    """Save weights as safetensors, with what is needed to use them.

    Args:
        path: file to replace.
        tensors: of the embedding model, and of the head under `HEAD`.
        config: stored as JSON in the metadata.
        classes: individual codes in the order of the head's rows.
        epoch: completed epochs.
    """
    metadata = {
        "format": FORMAT,
        "config": json.dumps(config.to_json()),
        "classes": json.dumps(classes),
        "epoch": str(epoch),
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_file(path, lambda temporary: save_file(plain, temporary, metadata))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of `save_weights`.

    Raises:
        TrainingError: the file cannot be read or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
    except (OSError, SafetensorError) as error:
        message = f"The weights {path.name} cannot be read: {error}"
        raise TrainingError(message) from error
    if metadata.get("format") != FORMAT:
        message = f"{path.name} does not hold an identification model of finwave."
        raise TrainingError(message)
    return tensors, metadata


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
