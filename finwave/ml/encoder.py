"""The deployed encoder: an ONNX file that turns crops into embeddings. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from finwave.ml.errors import ExportError
from finwave.ml.transforms import TRANSFORM, normalise, resize_square

ENCODER_FORMAT = "finwave-encoder-1"
BATCH = 16


class Encoder:
    """Embeds crops with exactly the preprocessing of training's evaluation.

    Args:
        path: ONNX file made by `finwave.ml.export`.
        threads: of ONNX Runtime; one a worker process (STACK 3.2).

    Raises:
        ExportError: the file does not open or is no encoder of ours.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=_providers()
            )
        except Exception as error:  # ONNX Runtime has no public base class for these
            message = f"The encoder {path.name} does not open: {error}"
            raise ExportError(message) from error
        settings = self._session.get_modelmeta().custom_metadata_map
        if settings.get("format") != ENCODER_FORMAT:
            message = f"{path.name} is not an encoder of finwave."
            raise ExportError(message)
        if settings["transform"] != TRANSFORM:
            message = (
                f"The encoder {path.name} wants the preprocessing "
                f"{settings['transform']}; this version has {TRANSFORM}. Deploy again."
            )
            raise ExportError(message)
        self.image_size_px = int(settings["image_size_px"])
        self.embedding_size = int(settings["embedding_size"])
        self._mean = tuple(json.loads(settings["mean"]))
        self._std = tuple(json.loads(settings["std"]))

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one embedding a crop.

        Args:
            images: N crops, (H, W, 3) RGB uint8, any sizes.

        Returns:
            (N, D) float32, unit norm.
        """
        rows = [np.empty((0, self.embedding_size), np.float32)]
        for start in range(0, len(images), BATCH):
            squares = np.stack(
                [
                    resize_square(image, self.image_size_px)
                    for image in images[start : start + BATCH]
                ]
            )
            inputs = normalise(squares, self._mean, self._std)
            (embeddings,) = self._session.run(None, {"images": inputs})
            rows.append(embeddings)
        return np.concatenate(rows)


def _providers() -> list[str]:
    available = onnxruntime.get_available_providers()
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return [name for name in wanted if name in available]
