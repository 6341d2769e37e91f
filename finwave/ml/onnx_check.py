"""May this ONNX file be run as a detector? Asked before any worker loads it.

For workers only: needs onnx and onnxruntime. The file is opened in a process of its
own with limits on memory and time, so that a hostile one takes nobody along.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from finwave.ml.detector import (
    END_TO_END,
    STRIDE_PX,
    Detector,
    DetectorError,
    Layout,
)

__all__ = ["DetectorError", "DetectorInfo", "check_detector"]

# The largest YOLOv8 (x) takes 273 MB as float32.
MAX_SIZE_BYTES = 600_000_000
MAX_SIDE_PX = 4096

# A YOLOv8x at 1280 px needs some 3 GB and 10 s on one slow core.
_MEMORY_BYTES = 12_000_000_000
_TIMEOUT_S = 180

# Operator sets that ONNX Runtime brings along. Quantised models use its own one.
_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What a detector that passed says about itself.

    Attributes:
        classes: Name by class, from 0; {} for an end-to-end model that names none.
        input_width_px: Of the model's input; for a dynamic one its usual size.
        input_height_px: Likewise.
        is_dynamic: Whether any size is taken.
        layout: "yolov8", "yolov8-transposed" or "end-to-end".
    """

    classes: dict[int, str]
    input_width_px: int
    input_height_px: int
    is_dynamic: bool
    layout: Layout


def check_detector(path: Path) -> DetectorInfo:
    """Return what a detector is, having run it on probe images.

    1. size and beginning of the file; 2. in a process of its own: parsed without
    external data, every operator known, one picture in, a known layout out; 3. run
    there on a grey and a noisy image, with finite and plausible output.

    Args:
        path: The file; nothing beside it is read.

    Returns:
        What is stored about the detector.

    Raises:
        DetectorError: If it is refused; the sentence says why.

    Note:
        Takes about 2 s for YOLOv8n, most of it starting the process.
    """
    _check_file(path)
    command = [sys.executable, "-m", "finwave.ml.onnx_check", str(path.resolve())]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as err:
        raise DetectorError(
            f"The model did not finish two pictures in {_TIMEOUT_S} seconds."
        ) from err
    try:
        answer = json.loads(done.stdout.rpartition("\n")[2] or done.stdout)
    except ValueError as err:
        raise DetectorError(
            "The model crashed the program that tried it, or needs more memory than "
            f"is allowed ({_MEMORY_BYTES / 1e9:.0f} GB)."
        ) from err
    if "refused" in answer:
        raise DetectorError(answer["refused"])
    answer["classes"] = {int(key): name for key, name in answer["classes"].items()}
    return DetectorInfo(**answer)


def check_here(path: Path) -> DetectorInfo:
    """Check as `check_detector` does, but within this process, without limits.

    Raises:
        DetectorError: If the detector is refused.
    """
    _check_file(path)
    model = _parse(path)
    _refuse_external_data(model)
    _refuse_unknown_operators(model)
    _check_input(model)
    # On the CPU: a GPU's driver claims more address space than the limit allows.
    detector = Detector(path, providers=["CPUExecutionProvider"])
    width, height = detector.input_wh
    if not all(STRIDE_PX <= side <= MAX_SIDE_PX for side in (width, height)):
        raise DetectorError(
            f"The model's input is {width} × {height} pixels; "
            f"each side may have {STRIDE_PX} to {MAX_SIDE_PX}."
        )
    for probe in _probe_images(width, height):
        _check_output(detector, probe)
    return DetectorInfo(
        detector.class_names, width, height, detector.is_dynamic, detector.layout
    )


def _check_file(path: Path) -> None:
    size = path.stat().st_size
    if size == 0:
        raise DetectorError("The file is empty.")
    if size > MAX_SIZE_BYTES:
        raise DetectorError(
            f"The file has {size / 1e6:.0f} MB; "
            f"the limit is {MAX_SIZE_BYTES / 1e6:.0f} MB."
        )
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        raise DetectorError(
            "This is a ZIP archive or a PyTorch file (.pt), not an ONNX model. "
            "Export the model as ONNX."
        )


def _parse(path: Path) -> onnx.ModelProto:
    """Return the model without reading any file beside it."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RuntimeError, ValueError) as err:
        raise DetectorError(
            "The file is no ONNX model, or is cut off. Export or upload it again."
        ) from err
    if not model.graph.node or not model.opset_import:
        raise DetectorError("The file is no ONNX model: there is no network in it.")
    return model


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph and, without recursion, every graph inside its nodes."""
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += _inner_graphs(graph.node)
    for function in model.functions:
        waiting = _inner_graphs(function.node)
        while waiting:
            graph = waiting.pop()
            yield graph
            waiting += _inner_graphs(graph.node)


def _inner_graphs(nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
    inner = []
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                inner.append(attribute.g)
            inner += attribute.graphs
    return inner


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _refuse_external_data(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        is_external = tensor.data_location == onnx.TensorProto.EXTERNAL
        if is_external or tensor.external_data:
            raise DetectorError(
                "The model keeps its weights in another file. "
                "Export it as one file, with the weights inside."
            )


def _refuse_unknown_operators(model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model):
        if node.domain in _KNOWN_DOMAINS or (node.domain, node.op_type) in own:
            continue
        raise DetectorError(
            f"The model needs the custom operator {node.domain[:60]}::"
            f"{node.op_type[:60]}, which is not part of ONNX. "
            "Export it with standard operators only."
        )


def _check_input(model: onnx.ModelProto) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise DetectorError(
            f"The model has {len(inputs)} inputs; a detector has one, the picture."
        )
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        raise DetectorError(
            "The model's input is not made of floating-point numbers. "
            "Export it with float32 or float16 input."
        )


def _probe_images(width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    yield np.full((height, width, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    yield rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _check_output(detector: Detector, image: NDArray[np.uint8]) -> None:
    """Run the detector on a probe image and see whether its numbers can be true."""
    width, height = detector.input_wh
    letterbox = detector.letterbox((width, height))
    output = detector.run(detector.preprocess(image, letterbox))
    if not np.isfinite(output).all():
        raise DetectorError(
            "The model gives numbers that are not finite (NaN or infinity)."
        )
    table = output[0].T if detector.layout == "yolov8" else output[0]  # (A, columns)
    is_end_to_end = detector.layout == END_TO_END
    scores = table[:, 4] if is_end_to_end else table[:, 4:]
    # Quantised models round past the ends a little.
    if scores.size and (scores.min() < -0.01 or scores.max() > 1.01):
        raise DetectorError(
            f"The model's scores run from {scores.min():.3g} to {scores.max():.3g}; "
            "confidences lie between 0 and 1. Export it with the sigmoid inside."
        )
    coordinates = table[:, :4]
    if not is_end_to_end and len(table) > 1 and coordinates.max() <= 2:
        raise DetectorError(
            "The model gives boxes as shares of the picture; pixels are expected."
        )
    # A box may reach over the edge, but not by several pictures.
    if coordinates.size and np.abs(coordinates).max() > 10 * max(width, height):
        raise DetectorError(
            "The model gives boxes far outside the picture; pixels are expected."
        )
    detector.postprocess(output, letterbox)


def _limit_this_process() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_TIMEOUT_S, _TIMEOUT_S))
    # The worker that asked may die: no core file of a crashed probe stays behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(path: Path) -> None:
    """Write the answer as one line of JSON: the information, or the refusal."""
    _limit_this_process()
    try:
        answer = json.dumps(asdict(check_here(path)))
    except DetectorError as err:
        answer = json.dumps({"refused": str(err)})
    sys.stdout.write("\n" + answer)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
