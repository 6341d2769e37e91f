from __future__ import annotations

import numpy as np
import pytest

from finwave.ml.boxes import areas, clip, from_centres, iou_matrix


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_from_centres():
    assert from_centres(boxes()).shape == (0, 4)
    assert from_centres(boxes((50, 40, 20, 10))).tolist() == [[40, 35, 60, 45]]
    assert from_centres(boxes((1, 1, 1, 1))).dtype == np.float32


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((10, 10, 20, 20), (10, 10, 20, 20)),
        ((-5, -5, 20, 20), (0, 0, 20, 20)),
        ((90, 40, 120, 60), (90, 40, 100, 50)),
        ((200, 200, 300, 300), (100, 50, 100, 50)),
    ],
)
def test_clip_to_100_by_50(box, clipped):
    assert clip(boxes(box), width_px=100, height_px=50).tolist() == [list(clipped)]


def test_areas():
    assert areas(boxes()).tolist() == []
    assert areas(boxes((0, 0, 4, 5), (4, 4, 2, 2))).tolist() == [20, 0]


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),  # half-open: they touch, nothing shared
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),
    ],
)
def test_iou_matrix(a, b, iou):
    assert iou_matrix(boxes(a), boxes(b)).tolist() == [[pytest.approx(iou)]]


def test_iou_matrix_has_a_row_for_each_first_box():
    assert iou_matrix(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)
    assert iou_matrix(boxes((0, 0, 1, 1), (0, 0, 2, 2)), boxes()).shape == (2, 0)
