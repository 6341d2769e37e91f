from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finwave.ml.boxes import iou_matrix
from finwave.ml.nms import suppress

# b overlaps a by 80 of 120 (IoU 0.667), c overlaps b likewise, a by 60 of 140 (0.429).
A, B, C = (0, 0, 10, 10), (2, 0, 12, 10), (4, 0, 14, 10)


def kept(boxes, confidence, iou, class_id=None) -> list[int]:
    return suppress(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(confidence, np.float32),
        iou=iou,
        class_id=None if class_id is None else np.array(class_id, np.int64),
    ).tolist()


@pytest.mark.parametrize(
    ("boxes", "confidence", "iou", "expected"),
    [
        ([], [], 0.5, []),
        ([A], [0.3], 0.5, [0]),
        ([A, B], [0.3, 0.9], 0.5, [1]),
        ([A, B], [0.3, 0.9], 0.7, [1, 0]),
        ([A, A], [0.5, 0.5], 0.5, [0]),  # equally sure: the first
        ([A, B, C], [0.9, 0.8, 0.7], 0.5, [0, 2]),  # what goes suppresses nothing
        ([A, B, C], [0.8, 0.9, 0.7], 0.5, [1]),
        ([A, A], [0.9, 0.8], 1.0, [0, 1]),  # not above 1: both stay
        ([A, (20, 0, 30, 10)], [0.1, 0.2], 0.0, [1, 0]),
    ],
)
def test_suppress(boxes, confidence, iou, expected):
    assert kept(boxes, confidence, iou) == expected


def test_classes_keep_apart_when_given():
    assert kept([A, A, B], [0.9, 0.8, 0.7], 0.5, [3, 5000, 3]) == [0, 1]


def test_classes_keep_apart_in_negative_frames_too():
    box = (-1000, -1000, -900, -900)
    assert kept([box, box], [0.9, 0.8], 0.5, [0, 1]) == [0, 1]


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = rng.integers(0, 40, (n, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 40, (n, 2))])
    return boxes.astype(np.float32), rng.permutation(n).astype(np.float32) / n


@given(candidates(), st.floats(0.05, 0.95))
def test_suppress_keeps_what_no_better_kept_box_covers(given_candidates, iou):
    boxes, confidence = given_candidates

    chosen = suppress(boxes, confidence, iou=iou)

    overlap = iou_matrix(boxes, boxes)
    among = overlap[np.ix_(chosen, chosen)] - np.eye(len(chosen))
    assert (among <= iou + 1e-5).all()
    for index in set(range(len(boxes))) - set(chosen.tolist()):
        better = [k for k in chosen if confidence[k] > confidence[index]]
        assert max(overlap[index, k] for k in better) > iou - 1e-5
