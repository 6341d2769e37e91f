"""Identification on real cow faces: what a training reaches, and how long it takes.

`python -m bench.identification --epochs 10` trains a preset on the 82 known animals of
`holstein` without the last quarter of each animal's encounters, and asks about

- known: the crops held out, with the training crops as the gallery;
- unseen: animals that no training saw, with their own gallery and queries;
- known or new: both kinds of queries against the gallery of known animals, decided by
  the calibration that the training fitted on its own validation crops.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import platform
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finwave.ml.calibration import Calibration
from finwave.ml.checkpoint import HEAD, load_weights
from finwave.ml.config import PRESETS, TrainConfig
from finwave.ml.data import load_crops
from finwave.ml.evaluate import embed
from finwave.ml.events import EventLog
from finwave.ml.gallery import rank_individuals
from finwave.ml.journal import Progress
from finwave.ml.metrics import (
    bootstrap_interval,
    expected_calibration_error,
    known_unknown_metrics,
    retrieval_metrics,
)
from finwave.ml.model import EmbeddingModel
from finwave.ml.train import fit, usable_cores
from finwave.ml.training_set import Item

HELD_OUT = 0.25  # of each known animal's encounters, the latest


@dataclasses.dataclass(frozen=True)
class Crops:
    """Embedded crops of one role."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    encounters: NDArray[np.int64]


def read_roles(folder: Path) -> dict[str, list[Item]]:
    """Return the items of the roles train, known_query, open_gallery, open_query."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        # Frames of one recording, in sequence: an encounter of that animal at least.
        row["encounter"] = row["encounter"] or f" undated {row['individual']}"
    encounters: dict[str, list[str]] = {}
    for row in rows:
        encounters.setdefault(row["individual"], []).append(row["encounter"])
    last = {}
    for individual, every in encounters.items():
        ordered = sorted(set(every))  # by time; undated ones first
        n_held_out = int(HELD_OUT * len(ordered))
        last[individual] = set(ordered[len(ordered) - n_held_out :])

    roles: dict[str, list[Item]] = {}
    for number, row in enumerate(rows):
        role = row["split"]
        if role == "train" and row["encounter"] in last[row["individual"]]:
            role = "known_query"
        item = Item(
            crop=folder / "images" / row["filename"],
            individual=row["individual"],
            encounter=row["encounter"],
            annotation=number,
            photo=number,
        )
        roles.setdefault(role, []).append(item)
    return roles


def train(
    config: TrainConfig, items: list[Item], folder: Path
) -> tuple[Progress, float]:
    started = time.perf_counter()
    with closing(EventLog(folder / "events.jsonl")) as events:
        progress = fit(
            config, items, folder=folder, events=events, should_stop=lambda: False
        )
    return progress, time.perf_counter() - started


def load_model(config: TrainConfig, weights: Path | None) -> EmbeddingModel:
    """Return the trained network, or without weights the one before training."""
    model = EmbeddingModel(
        config.architecture,
        image_size_px=config.image_size_px,
        embedding_size=config.embedding_size,
        pooling=config.pooling,
        pretrained=weights is None,
    )
    if weights is not None:
        tensors, _ = load_weights(weights)
        tensors.pop(HEAD + "weight")
        model.load_state_dict(tensors)
    return model


def embed_roles(
    config: TrainConfig, model: EmbeddingModel, roles: dict[str, list[Item]], tmp: Path
) -> dict[str, Crops]:
    codes = sorted({item.individual for items in roles.values() for item in items})
    names = sorted({str(i.encounter) for items in roles.values() for i in items})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    embedded = {}
    for role, items in roles.items():
        store = load_crops(
            [item.crop for item in items],
            image_size_px=config.image_size_px,
            folder=tmp,
            threads=usable_cores(),
            should_stop=lambda: False,
        )
        assert store is not None
        kept = [items[i] for i in store.kept]
        embeddings = embed(model, store.exact, device=device)
        assert embeddings is not None
        embedded[role] = Crops(
            embeddings,
            np.array([codes.index(item.individual) for item in kept], np.int64),
            np.array([names.index(str(item.encounter)) for item in kept], np.int64),
        )
    return embedded


def report_curve(path: Path) -> None:
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "metrics":
            print("  " + ", ".join(f"{k} {v:.4g}" for k, v in event["data"].items()))


def report_retrieval(name: str, query: Crops, gallery: Crops) -> None:
    found = retrieval_metrics(
        query.embeddings, gallery.embeddings, query.labels, gallery.labels
    )
    nearest = (query.embeddings @ gallery.embeddings.T).argmax(axis=1)
    low, high = bootstrap_interval(
        (gallery.labels[nearest] == query.labels).astype(float),
        query.encounters,
        np.random.default_rng(0),
    )
    print(
        f"{name}: rank-1 {found.top1:.3f} [{low:.3f}, {high:.3f}], "
        f"rank-5 {found.top5:.3f}, mAP {found.mean_average_precision:.3f} "
        f"(n = {found.n_queries} crops of {len(set(query.encounters))} encounters, "
        f"{len(set(query.labels))} animals; gallery {len(gallery.labels)})"
    )


def report_known_or_new(
    calibration: Calibration, known: Crops, unseen: Crops, gallery: Crops
) -> None:
    query = np.concatenate([known.embeddings, unseen.embeddings])
    is_new = np.arange(len(query)) >= len(known.labels)
    scores = rank_individuals(query, gallery.embeddings, gallery.labels)
    candidates, new = calibration.probabilities(scores.scores)
    every = np.column_stack([candidates, new])
    truth = np.concatenate(
        [
            np.searchsorted(scores.labels, known.labels),
            np.full(len(unseen.labels), len(scores.labels)),
        ]
    )
    found = known_unknown_metrics(np.asarray(new), is_new)
    error = expected_calibration_error(every.max(axis=1), every.argmax(axis=1) == truth)
    print(
        f"known or new: balanced accuracy {found.balanced_accuracy:.3f} "
        f"(known {found.known_recall:.3f}, new {found.unknown_recall:.3f}), "
        f"calibration error {error:.3f} (n = {(~is_new).sum()} + {is_new.sum()})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("FINWAVE_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data / "holstein")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="laptop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", choices=["best", "last"], default="best")
    parser.add_argument("--untrained", action="store_true", help="measure the start")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    asked = parser.parse_args()
    changes = dict(change.split("=", 1) for change in asked.set)
    kinds = {name: type(value) for name, value in PRESETS["laptop"].to_json().items()}
    config = TrainConfig.from_json(
        {
            **PRESETS[asked.preset].to_json(),
            **{
                k: v == "True" if kinds[k] is bool else kinds[k](v)
                for k, v in changes.items()
            },
            "seed": asked.seed,
        }
    )
    roles = read_roles(asked.data)
    print(
        f"{platform.processor() or platform.machine()}, {usable_cores()} cores, "
        f"torch {torch.__version__}, GPU: {torch.cuda.is_available()}"
    )
    print(f"{config}")
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        progress = Progress()
        if not asked.untrained:
            progress, seconds = train(config, roles["train"], tmp)
            print(
                f"trained in {seconds:.0f} s (load average {os.getloadavg()[0]:.1f}) on "
                f"{len(roles['train'])} crops; best epoch {progress.best_epoch} of "
                f"{progress.epoch}"
            )
            report_curve(tmp / "events.jsonl")
        model = load_model(
            config, None if asked.untrained else tmp / f"{asked.weights}.safetensors"
        )
        if asked.untrained:
            model.neck = torch.nn.Sequential()
        crops = embed_roles(config, model, roles, tmp)
    report_retrieval("known", crops["known_query"], crops["train"])
    report_retrieval("unseen", crops["open_query"], crops["open_gallery"])
    calibration = Calibration.from_json(progress.calibration)
    if calibration:
        report_known_or_new(
            calibration, crops["known_query"], crops["open_query"], crops["train"]
        )


if __name__ == "__main__":
    main()
