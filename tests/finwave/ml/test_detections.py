from __future__ import annotations

import numpy as np
import pytest

from finwave.ml.detections import Detections


def arrays(n: int = 2) -> dict[str, np.ndarray]:
    return {
        "xyxy": np.tile(np.array([0, 0, 4, 5], np.float32), (n, 1)),
        "confidence": np.linspace(0.9, 0.1, n, dtype=np.float32),
        "class_id": np.arange(n, dtype=np.int64),
    }


def test_empty():
    assert len(Detections.empty()) == 0


def test_a_mask_or_indices_choose():
    detections = Detections(**arrays(3))

    assert detections[np.array([True, False, True])].class_id.tolist() == [0, 2]
    assert detections[np.array([2, 0])].class_id.tolist() == [2, 0]
    assert len(detections[detections.confidence > 1]) == 0


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("xyxy", np.zeros((2, 5), np.float32), r"float32 \(2, 4\), not float32 \(2, 5"),
        ("xyxy", np.zeros((2, 4), np.float64), "not float64"),
        ("xyxy", np.zeros((2, 4), np.float32), "x1 < x2"),
        ("xyxy", np.full((2, 4), np.nan, np.float32), "finite"),
        ("confidence", np.zeros(3, np.float32), r"\(2,\), not float32 \(3,\)"),
        ("confidence", np.full(2, 1.1, np.float32), r"lie in \[0, 1\]"),
        ("confidence", np.full(2, np.nan, np.float32), r"lie in \[0, 1\]"),
        ("class_id", np.zeros(2, np.int32), "not int32"),
        ("class_id", np.array([0, -1]), "negative"),
    ],
)
def test_construction_refuses(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        Detections(**{**arrays(), field: value})
