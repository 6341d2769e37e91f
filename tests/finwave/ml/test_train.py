from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from finwave.ml.checkpoint import load_checkpoint, load_weights
from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError
from finwave.ml.events import EventLog
from finwave.ml.journal import Progress
from finwave.ml.train import Stopped, build, fit, plain_sentence
from finwave.ml.training_set import Item
from tests.finwave.ml.tiny_crops import (
    TINY,
    read_events,
    read_result,
    start_training,
    train,
    write_items,
    write_job,
)

N_STEPS = 6  # 32 training crops in batches of 6, the last one of 2


@pytest.fixture
def items(tmp_path):
    return write_items(tmp_path / "crops")


def fit_items(
    items: list[dict[str, object]],
    folder: Path,
    config: TrainConfig = TINY,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    start_weights: Path | None = None,
) -> Progress:
    folder.mkdir(exist_ok=True)
    with closing(EventLog(folder / "events.jsonl")) as events:
        return fit(
            config,
            [Item(**{**item, "crop": Path(str(item["crop"]))}) for item in items],
            folder=folder,
            events=events,
            should_stop=should_stop,
            start_weights=start_weights,
        )


def stop_after(n: int) -> Callable[[], bool]:
    left = [n]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return should_stop


def assert_same_weights(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        (a, about_a), (b, about_b) = (load_weights(f / name) for f in (one, other))
        assert about_a == about_b
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name


def measured(folder: Path) -> list[dict[str, object]]:
    timed = ("photos_per_s", "duration_s")
    metrics = read_events(folder, "metrics")
    return [{k: v for k, v in m.items() if k not in timed} for m in metrics]


def test_from_the_command_line_to_the_result(tmp_path, items):
    folder = write_job(tmp_path / "job", items)

    assert train(folder) == 0

    result = read_result(folder)
    assert result["outcome"] == "finished"
    assert result["epoch"] == 3
    assert result["classes"] == [f"HW-{i}" for i in range(5)]
    assert "RANDOM" in result["start_weights_note"]
    assert result["metrics"]["n_queries"] == 8
    metrics = read_events(folder, "metrics")
    assert [m["epoch"] for m in metrics] == [1, 2, 3]
    assert set(metrics[0]) == {
        "epoch",
        "train_loss",
        "val_loss",
        "top1",
        "top5",
        "mean_average_precision",
        "learning_rate",
        "photos_per_s",
        "duration_s",
        "is_best",
    }
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    split = json.loads((folder / "split.json").read_text())
    assert sorted(split["train"] + split["val"]) == list(range(40))
    encounters = [items[i]["encounter"] for i in split["train"]]
    assert not set(encounters) & {items[i]["encounter"] for i in split["val"]}
    assert not list(folder.glob("*.tmp"))


def test_examples_name_the_crop_and_its_match(tmp_path, items):
    fit_items(items, tmp_path / "job")

    examples = read_events(tmp_path / "job", "examples")

    split = json.loads((tmp_path / "job" / "split.json").read_text())
    assert [e["epoch"] for e in examples] == [1, 2, 3]
    shown = examples[-1]["right"] + examples[-1]["wrong"]
    assert 0 < len(shown) <= 8
    code = {item["annotation"]: item["individual"] for item in items}
    for answer in examples[-1]["right"]:
        assert answer["annotation"] in {items[i]["annotation"] for i in split["val"]}
        assert answer["match_annotation"] in {
            items[i]["annotation"] for i in split["train"]
        }
        assert code[answer["annotation"]] == code[answer["match_annotation"]]
        assert answer["match_individual"] == answer["individual"]


def test_learns_one_batch_by_heart(tmp_path, items):
    config = dataclasses.replace(
        TINY, epochs=60, batch_size=8, validation_share=0.0, augmentation=0.0
    )
    few = [item for item in items if item["individual"] in ("HW-0", "HW-1")][::2]

    fit_items(few, tmp_path / "job", config)

    losses = [m["train_loss"] for m in read_events(tmp_path / "job", "metrics")]
    assert losses[0] > 10
    assert losses[-1] < 0.5


def test_same_seed_same_weights_and_another_seed_others(tmp_path, items):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit_items(items, tmp_path / name, dataclasses.replace(TINY, seed=seed))

    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert measured(tmp_path / "a") == measured(tmp_path / "b")
    assert measured(tmp_path / "a") != measured(tmp_path / "c")


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"schedule": "constant"},
        {"pooling": "gem"},
        {"warmup_epochs": 0.0},
        {"backbone_learning_rate_factor": 1.0},
        {"head_warmup_epochs": 1},
        {"balanced_sampler": True},
        {"label_smoothing": 0.1},
        {"margin": 0.2},
        {"scale": 10.0},
        {"augmentation": 0.3},
        {"hflip": True},
        {"weight_decay": 0.5},
        {"gradient_clip": 0.1},
        {"min_learning_rate": 5e-4},
        {"embedding_size": 16},
        {"image_size_px": 48},
        {"batch_size": 9},
        {"learning_rate": 0.002},
        {"validation_share": 0.4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_takes_effect(tmp_path, items, changes):
    short = dataclasses.replace(TINY, epochs=1)

    fit_items(items, tmp_path / "plain", short)
    fit_items(items, tmp_path / "changed", dataclasses.replace(short, **changes))

    plain, changed = measured(tmp_path / "plain"), measured(tmp_path / "changed")
    assert plain[0]["train_loss"] != changed[0]["train_loss"] or (
        plain[0]["val_loss"] != changed[0]["val_loss"]
    )


# Stops fall before the first step, inside epochs, and inside the evaluation, which
# asks once a batch: once for the 8 validation crops and once for the 32 others.
@pytest.mark.parametrize(
    "n_asked", [1, 2, 4, N_STEPS + 1, N_STEPS + 2, N_STEPS + 6, 20]
)
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, items, n_asked):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    fit_items(items, straight)

    with pytest.raises(Stopped):
        fit_items(items, broken, should_stop=stop_after(n_asked))
    with suppress(Stopped):
        fit_items(items, broken, should_stop=stop_after(4))
    fit_items(items, broken)

    assert_same_weights(straight, broken)
    assert measured(straight) == measured(broken)


def test_frozen_epochs_and_dropped_paths_resume_exactly(tmp_path, items):
    config = dataclasses.replace(TINY, head_warmup_epochs=1, balanced_sampler=True)
    fit_items(items, tmp_path / "straight", config)

    with pytest.raises(Stopped):
        fit_items(items, tmp_path / "broken", config, should_stop=stop_after(5))
    fit_items(items, tmp_path / "broken", config)

    assert_same_weights(tmp_path / "straight", tmp_path / "broken")


@pytest.mark.kills
def test_killed_again_and_again_ends_with_the_same_weights(tmp_path, items):
    config = dataclasses.replace(TINY, epochs=12)
    fit_items(items, tmp_path / "straight", config)
    broken = write_job(tmp_path / "broken", items, config)
    rng = np.random.default_rng(0)

    for n_epochs in (1, 4, 7):
        process = start_training(broken)
        wait_for(lambda n=n_epochs: n_measured(broken) >= n)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert n_measured(broken) < 12
    assert train(broken) == 0

    assert_same_weights(tmp_path / "straight", broken)
    assert measured(tmp_path / "straight") == measured(broken)


def n_measured(folder: Path) -> int:
    path = folder / "events.jsonl"
    return path.read_bytes().count(b'"metrics"') if path.exists() else 0


@pytest.mark.kills
def test_sigterm_saves_and_the_next_start_goes_on(tmp_path, items):
    config = dataclasses.replace(TINY, epochs=400)
    folder = write_job(tmp_path / "job", items, config)
    process = start_training(folder)
    wait_for(lambda: (folder / "best.safetensors").exists())

    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0
    result = read_result(folder)
    assert result["outcome"] == "stopped"
    assert 0 < result["epoch"] < 400
    assert (folder / result["weights"]).exists()
    process = start_training(folder)
    wait_for(lambda: n_measured(folder) > result["epoch"])
    assert not (folder / "result.json").exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    epochs = [m["epoch"] for m in read_events(folder, "metrics")]
    assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.kills
def test_a_file_named_stop_ends_it(tmp_path, items):
    folder = write_job(tmp_path / "job", items, dataclasses.replace(TINY, epochs=900))
    process = start_training(folder)
    wait_for(lambda: (folder / "last.pt").exists())

    (folder / "stop").touch()

    assert process.wait(60) == 0
    assert read_result(folder)["outcome"] == "stopped"


@pytest.mark.kills
def test_a_lost_parent_is_a_stop(tmp_path, items, monkeypatch):
    folder = write_job(tmp_path / "job", items, dataclasses.replace(TINY, epochs=900))
    script = (
        "import os, subprocess, sys; os.environ['FINWAVE_PARENT_PID'] = str(os.getpid());"
        "subprocess.Popen([sys.executable, '-m', 'finwave.ml.train', sys.argv[1]]);"
        "import time; time.sleep(60)"
    )
    import subprocess
    import sys

    with (folder / "output.log").open("ab") as output:
        parent = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdout=output, stderr=output
        )
    wait_for(lambda: (folder / "last.pt").exists())

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    wait_for(lambda: (folder / "result.json").exists())
    assert read_result(folder)["outcome"] == "stopped"


def wait_for(condition: Callable[[], bool], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_stopped_in_the_first_epoch_keeps_what_was_learnt(tmp_path, items):
    folder = write_job(tmp_path / "job", items)
    with pytest.raises(Stopped):
        fit_items(items, folder, should_stop=stop_after(3))

    (folder / "stop").touch()
    assert train(folder) == 0

    result = read_result(folder)
    assert (result["epoch"], result["best_epoch"]) == (0, 0)
    assert result["n_steps_unfinished"] > 0
    assert result["weights"] == "last.safetensors"
    assert (folder / "last.safetensors").exists()
    assert result["classes"] == [f"HW-{i}" for i in range(5)]


def test_stopped_before_the_first_step_leaves_no_weights(tmp_path, items):
    folder = write_job(tmp_path / "job", items)
    (folder / "stop").touch()

    assert train(folder) == 0

    result = read_result(folder)
    assert result["outcome"] == "stopped"
    assert not (folder / result["weights"]).exists()


@pytest.mark.parametrize("crash_at", ["best.safetensors", "last.safetensors", "events"])
def test_killed_between_checkpoint_and_what_follows(tmp_path, items, crash_at):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    fit_items(items, straight)
    fit_items(items, broken)
    # What a kill right after the last checkpoint would have left out.
    if crash_at == "events":
        lines = (broken / "events.jsonl").read_text().splitlines(keepends=True)
        last = max(i for i, line in enumerate(lines) if '"metrics"' in line)
        (broken / "events.jsonl").write_text("".join(lines[:last]))
    else:
        (broken / crash_at).unlink()

    fit_items(items, broken)

    if crash_at != "best.safetensors" or read_best(broken) == TINY.epochs:
        assert_same_weights(straight, broken)
    assert measured(straight) == measured(broken)


def read_best(folder: Path) -> int:
    checkpoint = load_checkpoint(folder / "last.pt")
    return checkpoint["progress"]["best_epoch"] if checkpoint else 0


def test_other_crops_or_settings_are_not_resumed(tmp_path, items):
    fit_items(items, tmp_path / "job")

    with pytest.raises(TrainingError, match="have changed"):
        fit_items(items[:-1], tmp_path / "job")
    with pytest.raises(TrainingError, match="have changed"):
        fit_items(items, tmp_path / "job", dataclasses.replace(TINY, epochs=4))


def test_one_individual_is_a_plain_failure(tmp_path, items):
    folder = write_job(tmp_path / "job", items[:8])

    assert train(folder) == 3

    text = (folder / "error.txt").read_text()
    assert "two individuals" in text
    assert text.count("\n") == 1
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize("config", [{"epochs": 0}, {"colour": "blue"}])
def test_unusable_settings_are_a_plain_failure(tmp_path, items, config):
    folder = write_job(tmp_path / "job", items)
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "config": config}))

    assert train(folder) == 3

    assert next(iter(config)) in (folder / "error.txt").read_text()


def test_divergence_after_an_epoch_keeps_the_best(tmp_path, items):
    folder = write_job(
        tmp_path / "job",
        items,
        dataclasses.replace(
            TINY,
            optimizer="sgd",
            # The decay multiplies the weights by 1 - rate: after the first epochs of
            # the warm-up they grow with every step, until they overflow.
            learning_rate=10.0,
            backbone_learning_rate_factor=10.0,
            weight_decay=1.0,
            gradient_clip=0.0,
            warmup_epochs=40.0,
            epochs=60,
        ),
    )

    assert train(folder) == 3

    assert "lower learning rate" in (folder / "error.txt").read_text()
    assert read_result(folder)["outcome"] == "failed"
    assert (folder / "best.safetensors").exists()


def test_unreadable_crops_are_skipped_and_listed(tmp_path, items):
    Path(str(items[3]["crop"])).write_bytes(b"no picture")
    items.append({**items[0], "crop": str(tmp_path / "gone.jpg"), "annotation": 999})
    folder = write_job(tmp_path / "job", items)

    assert train(folder) == 0

    split = json.loads((folder / "split.json").read_text())
    assert [s["item"] for s in split["skipped"]] == [3, 40]
    assert [s["annotation"] for s in split["skipped"]] == [103, 999]
    assert sorted(split["train"] + split["val"]) == [i for i in range(40) if i != 3]
    warnings = [
        e["message"] for e in read_events(folder, "log") if e["level"] == "warning"
    ]
    assert any("crop-3.jpg" in message for message in warnings)
    assert any("gone.jpg" in message for message in warnings)


def test_trains_without_validation_and_says_so(tmp_path):
    items = write_items(tmp_path / "crops", n_encounters=1)
    folder = write_job(tmp_path / "job", items)

    assert train(folder) == 0

    metrics = read_events(folder, "metrics")
    assert [m["top1"] for m in metrics] == [None] * 3
    assert not any(m["is_best"] for m in metrics)
    assert read_events(folder, "examples") == []
    messages = [e["message"] for e in read_events(folder, "log")]
    assert any("No validation is possible" in message for message in messages)
    result = read_result(folder)
    assert result["best_epoch"] == 3
    assert result["calibration"] == {}
    assert (folder / "best.safetensors").exists()


def test_enough_queries_are_calibrated(tmp_path):
    items = write_items(tmp_path / "crops", n_encounters=8, n_crops=3)

    progress = fit_items(items, tmp_path / "job")

    assert progress.calibration["n_queries"] >= 20
    assert 0 <= progress.calibration["expected_calibration_error"] <= 1


def test_early_stopping(tmp_path, items):
    config = dataclasses.replace(
        TINY, epochs=40, early_stopping_epochs=2, learning_rate=1e-7
    )

    progress = fit_items(items, tmp_path / "job", config)

    assert progress.epoch < 40
    assert progress.epoch - progress.best_epoch == 2


def test_starts_from_a_snapshot_and_keeps_the_centres_of_known_individuals(
    tmp_path, items
):
    fit_items(items, tmp_path / "first")
    snapshot = tmp_path / "first" / "best.safetensors"
    tensors, _ = load_weights(snapshot)

    model, head, note = build(TINY, ["HW-3", "HW-9"], snapshot)

    assert torch.equal(head.weight[0], tensors["head.weight"][3])
    assert torch.equal(model.neck[1].weight, tensors["neck.1.weight"])
    assert "1 of these individuals" in note
    # It goes on learning from there.
    fit_items(items, tmp_path / "second", start_weights=snapshot)
    first, second = (
        read_events(tmp_path / name, "metrics")[0]["train_loss"]
        for name in ("first", "second")
    )
    assert second < first


def test_a_snapshot_of_another_size_is_a_plain_failure(tmp_path, items):
    fit_items(items, tmp_path / "first")
    snapshot = tmp_path / "first" / "best.safetensors"

    with pytest.raises(TrainingError, match="test_efficientnet at 32 pixels"):
        build(dataclasses.replace(TINY, embedding_size=16), ["HW-1"], snapshot)
    with pytest.raises(TrainingError, match="cannot be read"):
        build(TINY, ["HW-1"], Path(str(items[0]["crop"])))


def test_out_of_memory_is_told_in_plain_words():
    assert "smaller batch" in str(plain_sentence(MemoryError()))
    torch_says = "DefaultCPUAllocator: not enough memory: you tried to allocate"
    assert "smaller batch" in str(plain_sentence(RuntimeError(torch_says)))
    assert plain_sentence(RuntimeError("shape mismatch")) is None
