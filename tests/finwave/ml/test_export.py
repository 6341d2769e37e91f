from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from finwave.ml.checkpoint import HEAD, save_weights
from finwave.ml.config import TrainConfig
from finwave.ml.encoder import Encoder
from finwave.ml.errors import ExportError
from finwave.ml.evaluate import embed
from finwave.ml.export import export_encoder, main
from finwave.ml.model import EmbeddingModel
from finwave.ml.transforms import resize_square
from tests.finwave.ml.tiny_crops import TINY


def save_random(path: Path, config: TrainConfig) -> EmbeddingModel:
    """Save a network whose batch statistics are not at their start."""
    torch.manual_seed(0)
    model = EmbeddingModel(
        config.architecture,
        image_size_px=config.image_size_px,
        embedding_size=config.embedding_size,
        pooling=config.pooling,
    )
    size = config.image_size_px
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.randn(8, 3, size, size))
    head = {f"{HEAD}weight": torch.zeros(5, config.embedding_size)}
    save_weights(
        path,
        {**model.state_dict(), **head},
        config=config,
        classes=list("abcde"),
        epoch=1,
    )
    return model


@pytest.mark.parametrize("pooling", ["avg", "gem"])
@pytest.mark.parametrize(
    "architecture",
    ["test_efficientnet", "test_resnet", "test_convnext", "test_vit"],
)
def test_onnx_agrees_with_torch(tmp_path, architecture, pooling):
    config = dataclasses.replace(TINY, architecture=architecture, pooling=pooling)
    model = save_random(tmp_path / "weights.safetensors", config)
    out = tmp_path / "encoder.onnx"

    report = export_encoder(tmp_path / "weights.safetensors", config, 5, out)

    assert report.max_abs_difference < 1e-5
    assert report.size_bytes == out.stat().st_size
    # From crops of various sizes on, by its own count: batches of 16 and 1.
    rng = np.random.default_rng(0)
    crops = [
        rng.integers(0, 256, (20 + i, 60 - i, 3), dtype=np.uint8) for i in range(17)
    ]
    squares = np.stack([resize_square(crop, 32) for crop in crops])
    expected = embed(model, squares, device=torch.device("cpu"))
    embeddings = Encoder(out).embed(crops)
    assert embeddings.dtype == np.float32
    assert np.abs(embeddings - expected).max() < 1e-5
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(17), abs=1e-5)


def test_the_laptop_architecture_agrees_as_well(tmp_path):
    config = dataclasses.replace(
        TINY, architecture="tf_efficientnet_lite0", image_size_px=64
    )
    save_random(tmp_path / "w.safetensors", config)

    report = export_encoder(tmp_path / "w.safetensors", config, 5, tmp_path / "e.onnx")

    assert report.max_abs_difference < 1e-5


def test_no_crops_give_no_embeddings(tmp_path):
    save_random(tmp_path / "w.safetensors", TINY)
    export_encoder(tmp_path / "w.safetensors", TINY, 5, tmp_path / "e.onnx")

    assert Encoder(tmp_path / "e.onnx").embed([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("changes", "n_classes", "words"),
    [
        ({}, 6, "know 5 individuals"),
        ({"embedding_size": 16}, 5, "do not fit"),
        ({"architecture": "test_resnet"}, 5, "do not fit"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, changes, n_classes, words):
    save_random(tmp_path / "w.safetensors", TINY)
    config = dataclasses.replace(TINY, **changes)

    with pytest.raises(ExportError, match=words):
        export_encoder(tmp_path / "w.safetensors", config, n_classes, tmp_path / "e")

    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_disagreement_with_torch_is_refused(tmp_path, monkeypatch):
    save_random(tmp_path / "w.safetensors", TINY)
    monkeypatch.setattr("finwave.ml.export.TOLERANCE", 0.0)

    with pytest.raises(ExportError, match="differs from the model"):
        export_encoder(tmp_path / "w.safetensors", TINY, 5, tmp_path / "e.onnx")

    assert not (tmp_path / "e.onnx").exists()


def test_other_preprocessing_and_other_files_are_refused(tmp_path):
    save_random(tmp_path / "w.safetensors", TINY)
    export_encoder(tmp_path / "w.safetensors", TINY, 5, tmp_path / "e.onnx")
    graph = onnx.load(str(tmp_path / "e.onnx"))
    for name, value, words in (
        ("transform", "letterbox-v0", "Deploy again"),
        ("format", "another", "not an encoder"),
    ):
        for prop in graph.metadata_props:
            if prop.key == name:
                prop.value = value
        onnx.save(graph, str(tmp_path / "other.onnx"))
        with pytest.raises(ExportError, match=words):
            Encoder(tmp_path / "other.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(ExportError, match="does not open"):
        Encoder(tmp_path / "torn.onnx")


def test_from_the_command_line_without_a_word(tmp_path):
    save_random(tmp_path / "w.safetensors", TINY)
    (tmp_path / "config.json").write_text(json.dumps(TINY.to_json()))
    arguments = [
        *("--weights", str(tmp_path / "w.safetensors")),
        *("--config", str(tmp_path / "config.json")),
        *("--n-classes", "5"),
        *("--out", str(tmp_path / "e.onnx")),
        *("--report", str(tmp_path / "report.json")),
    ]

    done = subprocess.run(
        [sys.executable, "-m", "finwave.ml.export", *arguments],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["max_abs_difference"] < 1e-5


def test_failure_on_the_command_line_is_one_sentence(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(TINY.to_json()))

    code = main(
        [
            *("--weights", str(tmp_path / "missing.safetensors")),
            *("--config", str(tmp_path / "config.json")),
            *("--n-classes", "5"),
            *("--out", str(tmp_path / "e.onnx")),
            *("--report", str(tmp_path / "report.json")),
        ]
    )

    assert code == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_the_encoder_needs_no_torch():
    code = (
        "import sys, finwave.ml.encoder, finwave.ml.gallery, finwave.ml.calibration; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'timm', 'django')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_training_needs_no_django():
    code = "import sys, finwave.ml.train; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
