"""Tiny generated crops of animals that can be told apart, and jobs that use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from finwave.ml.config import TrainConfig

# A network of 90,000 parameters: an epoch takes a twentieth of a second.
TINY = TrainConfig(
    architecture="test_efficientnet",
    image_size_px=32,
    embedding_size=32,
    epochs=3,
    batch_size=6,
    threads=1,
)


def write_items(
    folder: Path, *, n_individuals: int = 5, n_encounters: int = 4, n_crops: int = 2
) -> list[dict[str, object]]:
    """Write crops and return the items of a job file."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    items: list[dict[str, object]] = []
    for individual in range(n_individuals):
        marks = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        large = np.asarray(Image.fromarray(marks).resize((50, 40)), float)
        for encounter in range(n_encounters):
            for _ in range(n_crops):
                noisy = (large + rng.normal(0, 25, large.shape)).clip(0, 255)
                path = folder / f"crop-{len(items)}.jpg"
                Image.fromarray(noisy.astype(np.uint8)).save(path)
                items.append(
                    {
                        "crop": str(path),
                        "individual": f"HW-{individual}",
                        "encounter": individual * 10 + encounter,
                        "side": "left",
                        "annotation": 100 + len(items),
                        "photo": 1000 + len(items),
                    }
                )
    return items


def write_job(
    folder: Path,
    items: list[dict[str, object]],
    config: TrainConfig = TINY,
    start_weights: Path | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "config": config.to_json(),
        "items": items,
        "start_weights": str(start_weights) if start_weights else None,
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def start_training(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "finwave.ml.train", str(folder)],
            stdout=output,
            stderr=output,
            env={k: v for k, v in os.environ.items() if k != "FINWAVE_PARENT_PID"},
        )


def train(folder: Path) -> int:
    return start_training(folder).wait(120)


def read_events(folder: Path, kind: str) -> list[dict[str, object]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [event["data"] for event in events if event["kind"] == kind]


def read_result(folder: Path) -> dict[str, object]:
    return json.loads((folder / "result.json").read_text())
