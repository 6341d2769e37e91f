"""Export an encoder to ONNX, run it, and compare it with torch.

`python -m finwave.ml.export --weights W --config C --n-classes N --out O --report R`
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from finwave.ml.checkpoint import HEAD, load_weights, write_file, write_json
from finwave.ml.config import ConfigError, TrainConfig
from finwave.ml.encoder import ENCODER_FORMAT, Encoder
from finwave.ml.errors import ExportError, TrainingError
from finwave.ml.evaluate import embed
from finwave.ml.model import EmbeddingModel
from finwave.ml.transforms import TRANSFORM, resize_square

OPSET = 17
TOLERANCE = 1e-4  # largest accepted difference of a value of a unit-norm embedding
N_COMPARED = 5  # not a power of two: the batch size must really be dynamic
PLAIN_FAILURE = 3


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export is, and how far it is from the network it was made of."""

    max_abs_difference: float  # over the values of embeddings of fixed crops
    tolerance: float
    size_bytes: int
    embedding_size: int
    image_size_px: int


def export_encoder(
    weights: Path, config: TrainConfig, n_classes: int, out: Path
) -> ExportReport:
    """Write the encoder as ONNX, with all that inference must know in its metadata.

    Args:
        weights: safetensors of a training job.
        config: of that job.
        n_classes: individuals the weights were trained on.
        out: file to write; appears only when it agrees with torch.

    Returns:
        The report.

    Raises:
        ExportError: the weights do not fit, or ONNX and torch disagree.
    """
    model = _load(weights, config, n_classes)

    def write(path: Path) -> None:
        _export(model, config, path)
        difference = compare(model, path, config.image_size_px)
        if not difference <= TOLERANCE:  # also refuses not-a-number
            message = (
                f"The exported encoder differs from the model by {difference:.1e}; "
                f"{TOLERANCE:.0e} is allowed."
            )
            raise ExportError(message)
        differences.append(difference)

    differences: list[float] = []
    write_file(out, write)
    return ExportReport(
        max_abs_difference=differences[0],
        tolerance=TOLERANCE,
        size_bytes=out.stat().st_size,
        embedding_size=config.embedding_size,
        image_size_px=config.image_size_px,
    )


def compare(model: EmbeddingModel, path: Path, image_size_px: int) -> float:
    """Return the largest difference between torch and ONNX, from pixels on.

    Args:
        model: on the CPU.
        path: ONNX file.
        image_size_px: side of the input.
    """
    rng = np.random.default_rng(0)
    side = image_size_px + 9
    crops = rng.integers(0, 256, (N_COMPARED, side, side + 20, 3), dtype=np.uint8)
    crops[0] = 0  # flat pictures as well as noise
    crops[1] = np.linspace(0, 255, side + 20, dtype=np.uint8)[None, :, None]
    squares = np.stack([resize_square(crop, image_size_px) for crop in crops])
    expected = embed(model, squares, device=torch.device("cpu"))
    assert expected is not None  # nobody asks it to stop
    return float(np.abs(Encoder(path).embed(list(crops)) - expected).max())


def _load(weights: Path, config: TrainConfig, n_classes: int) -> EmbeddingModel:
    try:
        tensors, _ = load_weights(weights)
        model = EmbeddingModel(
            config.architecture,
            image_size_px=config.image_size_px,
            embedding_size=config.embedding_size,
            pooling=config.pooling,
        )
        n_rows = len(tensors.pop(HEAD + "weight"))
        model.load_state_dict(tensors)
    except (TrainingError, RuntimeError, KeyError) as error:
        message = f"The weights do not fit {config.architecture}: {error}"
        raise ExportError(" ".join(message.split())) from error
    if n_rows != n_classes:
        message = f"The weights know {n_rows} individuals; {n_classes} were expected."
        raise ExportError(message)
    return model.eval()


def _export(model: EmbeddingModel, config: TrainConfig, path: Path) -> None:
    size = config.image_size_px
    # The TorchScript exporter: several times faster than dynamo's, silent but for its
    # deprecation and tracing notes, and equal in its results (compared each time).
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model,
                (torch.zeros(2, 3, size, size),),
                str(path),
                input_names=["images"],
                output_names=["embeddings"],
                dynamic_axes={"images": {0: "n"}, "embeddings": {0: "n"}},
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # exporters raise anything on unknown operators
            reason = str(error).splitlines()[0]
            message = f"{config.architecture} cannot be exported to ONNX: {reason}"
            raise ExportError(message) from error
    graph = onnx.load(str(path))
    settings = {
        "format": ENCODER_FORMAT,
        "transform": TRANSFORM,
        "architecture": config.architecture,
        "image_size_px": str(size),
        "embedding_size": str(config.embedding_size),
        "mean": json.dumps(model.mean),
        "std": json.dumps(model.std),
    }
    onnx.helper.set_model_props(graph, settings)
    onnx.save(graph, str(path))


def main(arguments: list[str] | None = None) -> int:
    """Export from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finwave.ml.export")
    for name in ("weights", "config", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--n-classes", type=int, required=True)
    asked = parser.parse_args(arguments)
    try:
        config = TrainConfig.from_json(asked.config.read_text(encoding="utf-8"))
        report = export_encoder(asked.weights, config, asked.n_classes, asked.out)
    except (ExportError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return PLAIN_FAILURE
    write_json(asked.report, asdict(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
