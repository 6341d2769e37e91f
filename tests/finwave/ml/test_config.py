from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from finwave.ml.config import PRESETS, ConfigError, TrainConfig


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_survive_json(name):
    text = json.dumps(PRESETS[name].to_json())

    assert TrainConfig.from_json(text) == PRESETS[name]


def test_missing_fields_get_their_defaults_and_whole_numbers_become_floats():
    config = TrainConfig.from_json({"epochs": 3, "learning_rate": 1})

    assert config == TrainConfig(epochs=3, learning_rate=1.0)
    assert type(config.learning_rate) is float


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"architecture": ""}, "architecture"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_unusable_values_are_refused_by_name(values, word):
    with pytest.raises(ConfigError, match=word):
        TrainConfig.from_json(values)


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3


def test_needs_nothing_but_the_standard_library():
    code = (
        "import sys, finwave.ml.config; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'django')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
