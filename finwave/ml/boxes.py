"""Arithmetic on boxes: float32 (N, 4), x1, y1, x2, y2, half-open. Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def from_centres(boxes_cxcywh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return corner boxes of boxes given by centre and size, in the same frame.

    Args:
        boxes_cxcywh: (N, 4) centre x, centre y, width, height; float32.

    Returns:
        (N, 4) x1, y1, x2, y2; float32.

    Example:
        >>> from_centres(np.array([[50, 40, 20, 10]], dtype=np.float32)).tolist()
        [[40.0, 35.0, 60.0, 45.0]]
    """
    half = boxes_cxcywh[:, 2:] / 2
    centre = boxes_cxcywh[:, :2]
    return np.concatenate([centre - half, centre + half], axis=1, dtype=np.float32)


def clip(
    boxes_xyxy: NDArray[np.float32], *, width_px: int, height_px: int
) -> NDArray[np.float32]:
    """Return boxes cut to the picture; one wholly outside is left without area.

    Args:
        boxes_xyxy: (N, 4) float32, pixels.
        width_px: Of the picture.
        height_px: Of the picture.

    Returns:
        (N, 4) float32, a copy.
    """
    limit = np.array([width_px, height_px, width_px, height_px], dtype=np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limit)


def areas(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each box's area, (N,) float32; 0 for one turned inside out."""
    size = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], np.float32(0))
    area: NDArray[np.float32] = size[:, 0] * size[:, 1]
    return area


def iou_matrix(
    a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the intersection over union of each box with each other.

    Args:
        a_xyxy: (N, 4) float32, pixels.
        b_xyxy: (M, 4) float32, pixels of the same picture.

    Returns:
        (N, M) float32 in [0, 1]; 0 where both boxes have no area.

    Note:
        Takes memory for N * M * 2 numbers.

    Example:
        >>> a = np.array([[0, 0, 2, 2]], dtype=np.float32)
        >>> b = np.array([[0, 0, 1, 2], [5, 5, 6, 6]], dtype=np.float32)
        >>> iou_matrix(a, b).tolist()
        [[0.5, 0.0]]
    """
    upper = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])  # (N, M, 2)
    lower = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.maximum(lower - upper, np.float32(0))
    overlap: NDArray[np.float32] = sides[:, :, 0] * sides[:, :, 1]  # (N, M)
    union = areas(a_xyxy)[:, None] + areas(b_xyxy)[None, :] - overlap
    iou: NDArray[np.float32] = np.zeros_like(overlap)
    np.divide(overlap, union, out=iou, where=union > 0)
    return iou
