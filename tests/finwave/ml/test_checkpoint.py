from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from finwave.ml.checkpoint import (
    load_checkpoint,
    load_weights,
    save_weights,
    write_file,
    write_json,
)
from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)

    assert path.read_text() == "old"


def test_weights_come_back_with_what_is_needed_to_use_them(tmp_path):
    path = tmp_path / "w.safetensors"
    channels_last = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    tensors = {"a": channels_last, "head.weight": torch.eye(2)}

    save_weights(path, tensors, config=TrainConfig(), classes=["B", "A"], epoch=3)

    loaded, about = load_weights(path)
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert json.loads(about["classes"]) == ["B", "A"]
    assert TrainConfig.from_json(about["config"]) == TrainConfig()
    assert about["epoch"] == "3"
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_other_files_are_refused(tmp_path):
    other, torn = tmp_path / "other.safetensors", tmp_path / "torn.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    torn.write_bytes(other.read_bytes()[:-2])

    with pytest.raises(TrainingError, match="does not hold"):
        load_weights(other)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_weights(torn)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_weights(tmp_path / "missing.safetensors")


def test_no_checkpoint_yet(tmp_path):
    assert load_checkpoint(tmp_path / "last.pt") is None


def test_json_refuses_not_a_number_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})

    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})

    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
