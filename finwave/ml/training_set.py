"""A job's crops, read and split; nothing here learns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finwave.ml.checkpoint import write_json
from finwave.ml.config import TrainConfig
from finwave.ml.data import CropStore, load_crops, near_duplicates
from finwave.ml.errors import TrainingError
from finwave.ml.events import EventLog
from finwave.ml.seed import rng_for
from finwave.ml.splits import Split, split_by_encounter

SPLIT = 3  # key of the split's random generator; 1 and 2 are in data.py
MAX_LISTED = 20  # unreadable crops named in the log; split.json has them all


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled crop, as `job.json` lists it."""

    crop: Path
    individual: str
    encounter: int | str | None = None
    side: str = ""
    annotation: int | str | None = None
    photo: int | str | None = None


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Readable crops with their labels and the split; rows are those of `store`."""

    store: CropStore
    items: list[Item]
    classes: list[str]
    labels: NDArray[np.int64]  # (N,) index into `classes`
    split: Split

    def fingerprint(self) -> str:
        """Return a digest of what is learnt from, to recognise it when resuming."""
        rows = [[str(i.crop), i.individual, str(i.encounter)] for i in self.items]
        text = json.dumps([rows, self.split.train.tolist()])
        return hashlib.sha256(text.encode()).hexdigest()

    def sides(self, rows: NDArray[np.int64]) -> list[str]:
        return [self.items[row].side for row in rows]

    def encounters(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number the encounters of some rows; a crop without is one of its own."""
        numbers: dict[Hashable, int] = {}
        keys: list[Hashable] = [
            ("row", int(row)) if encounter is None else encounter
            for row in rows
            for encounter in [self.items[row].encounter]
        ]
        return np.array([numbers.setdefault(k, len(numbers)) for k in keys], np.int64)


def read_training_set(
    config: TrainConfig,
    items: Sequence[Item],
    *,
    folder: Path,
    threads: int,
    events: EventLog,
    should_stop: Callable[[], bool],
) -> TrainingSet | None:
    """Decode the crops, split them by encounter, and write `split.json`.

    Args:
        config: image size, validation share and seed are used.
        items: of the job.
        folder: of the job.
        threads: that decode.
        events: gets what a person should know.
        should_stop: asked now and then.

    Returns:
        The set; None when stopped.

    Raises:
        TrainingError: fewer than two individuals have readable crops.
    """
    store = load_crops(
        [item.crop for item in items],
        image_size_px=config.image_size_px,
        folder=folder,
        threads=threads,
        should_stop=should_stop,
    )
    if store is None:
        return None
    for index, reason in store.unreadable[:MAX_LISTED]:
        text = f"Skipped the crop {items[index].crop.name}: {reason}"
        events.log(text, level="warning", once=True)
    if len(store.unreadable) > MAX_LISTED:
        n_more = len(store.unreadable) - MAX_LISTED
        events.log(f"Skipped {n_more} more crops.", level="warning", once=True)

    kept = [items[i] for i in store.kept]
    classes = sorted({item.individual for item in kept})
    if len(classes) < 2:
        message = (
            f"Crops of at least two individuals are needed; there are {len(kept)} "
            f"readable crops of {len(classes)}. Label more photographs first."
        )
        raise TrainingError(message)
    number = {code: i for i, code in enumerate(classes)}
    split = split_by_encounter(
        [item.individual for item in kept],
        [item.encounter for item in kept],
        [item.photo for item in kept],
        share=config.validation_share,
        rng=rng_for(config.seed, SPLIT),
        duplicates=near_duplicates(store.exact),
    )
    events.log(f"{len(kept)} crops of {len(classes)} individuals are ready.", once=True)
    is_worrying = len(split.validation) == 0
    events.log(split.note, level="warning" if is_worrying else "info", once=True)
    write_json(
        folder / "split.json",
        {
            # Positions in job.json's list of items.
            "train": store.kept[split.train].tolist(),
            "val": store.kept[split.validation].tolist(),
            "skipped": [
                {"item": i, "annotation": items[i].annotation, "reason": reason}
                for i, reason in store.unreadable
            ],
            "note": split.note,
        },
    )
    labels = np.array([number[item.individual] for item in kept], np.int64)
    return TrainingSet(store, kept, classes, labels, split)
