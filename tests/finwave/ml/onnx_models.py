"""Small real detectors: they find pure red (class 0) and pure green (class 1).

A YOLOv8 head in little: three levels of anchors at strides 8, 16 and 32, one box a
cell, the cell itself. Only the cells of 32 pixels fire, so that a coloured square on
their raster gives exactly one box.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAMES = "{0: 'red', 1: 'green'}"
FLOATS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def colour_detector(
    *,
    size_wh: tuple[int, int] | None = (128, 128),
    layout: str = "yolov8",
    dtype: str = "float32",
    names: str | None = NAMES,
    metadata: dict[str, str] | None = None,
    score_scale: float = 1.0,
    box_scale: float = 1.0,
) -> onnx.ModelProto:
    """Return the detector; without a size it takes any."""
    kind = FLOATS[dtype]
    graph = _Graph(np.dtype(dtype))
    levels = [
        graph.level(stride, score_scale * (stride == 32), box_scale)
        for stride in (8, 16, 32)
    ]
    if layout == "end-to-end":
        output = graph.end_to_end(levels[-1])
    else:
        output = graph.add("Concat", levels, axis=2)
        if layout == "yolov8-transposed":
            output = graph.add("Transpose", [output], perm=[0, 2, 1])
    graph.add("Identity", [output], name="output0")
    width, height = size_wh or ("width", "height")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "colours",
            [helper.make_tensor_value_info("images", kind, [1, 3, height, width])],
            [helper.make_tensor_value_info("output0", kind, [1, None, None])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    properties = dict(metadata or {})
    if names is not None:
        properties["names"] = names
    helper.set_model_props(model, properties)
    return model


def constant_detector(
    output: np.ndarray, *, input_shape: list[int] | None = None, names: str = ""
) -> onnx.ModelProto:
    """Return a model that gives the same output for every picture."""
    value = numpy_helper.from_array(output.astype(np.float32), "value")
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["value"], ["output0"])],
            "constant",
            [
                helper.make_tensor_value_info(
                    "images", TensorProto.FLOAT, input_shape or [1, 3, 64, 64]
                )
            ],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output.shape)],
            [value],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    if names:
        helper.set_model_props(model, {"names": names})
    return model


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


class _Graph:
    """Nodes and weights on their way to a graph; every node has one output."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: list[str], name: str = "", **attributes) -> str:
        output = name or f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def weight(self, value, dtype=None) -> str:
        name = f"weight{len(self.weights)}"
        array = np.asarray(value, dtype or self.dtype)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def level(self, stride: int, score_scale: float, box_scale: float) -> str:
        """Add one level: (1, 4 + 2, cells)."""
        pooled = self.add(
            "AveragePool", ["images"], kernel_shape=[stride] * 2, strides=[stride] * 2
        )
        # Red less green and blue, and green less red and blue.
        mixing = np.array([[1, -0.5, -0.5], [-0.5, 1, -0.5]])[:, :, None, None]
        raw = self.add("Conv", [pooled, self.weight(mixing)])
        limited = self.add("Clip", [raw, self.weight(0), self.weight(1)])
        scores = self.add("Mul", [limited, self.weight(score_scale)])
        # Ones of the level's shape, whatever the picture's size, then count cells.
        zeros = self.add(
            "Conv", [pooled, self.weight(np.zeros((1, 3, 1, 1)))], name=f"zeros{stride}"
        )
        ones = self.add("Add", [zeros, self.weight(1)])
        ones32 = self.add("Cast", [ones], to=TensorProto.FLOAT)
        sides = []
        for axis in (3, 2):
            counted = self.add("CumSum", [ones32, self.weight(axis, np.int64)])
            typed = self.add("Cast", [counted], to=FLOATS[self.dtype.name])
            shifted = self.add("Sub", [typed, self.weight(0.5)])
            sides.append(self.add("Mul", [shifted, self.weight(stride * box_scale)]))
        size = self.add("Mul", [ones, self.weight(stride * box_scale)])
        table = self.add("Concat", [*sides, size, size, scores], axis=1)
        return self.add("Reshape", [table, self.weight([1, 6, -1], np.int64)])

    def end_to_end(self, level: str) -> str:
        """Add corners, best score and its class: (1, cells, 6)."""
        rows = self.add("Transpose", [level], perm=[0, 2, 1])
        centre, size, scores = (
            self.add(
                "Slice",
                [rows, *(self.weight([edge], np.int64) for edge in (start, end, 2))],
            )
            for start, end in ((0, 2), (2, 4), (4, 6))
        )
        half = self.add("Mul", [size, self.weight(0.5)])
        best = self.add("ReduceMax", [scores], axes=[2])
        index = self.add("ArgMax", [scores], axis=2)
        index = self.add("Cast", [index], to=FLOATS[self.dtype.name])
        upper = self.add("Sub", [centre, half])
        lower = self.add("Add", [centre, half])
        return self.add("Concat", [upper, lower, best, index], axis=2)
