"""Non-maximum suppression: one box an animal. Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finwave.ml.boxes import areas


def suppress(
    boxes_xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    *,
    iou: float,
    class_id: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return which boxes stay when less confident overlapping ones are dropped.

    Greedy: the most confident box stays, whatever overlaps it by more than `iou` goes,
    and so on with the rest.

    Args:
        boxes_xyxy: (N, 4) float32, pixels.
        confidence: (N,) float32.
        iou: Overlap that is still allowed, in [0, 1].
        class_id: (N,) int64: boxes suppress only others of their class. Without it
            any box suppresses any other.

    Returns:
        (K,) int64, indices of the boxes that stay, most confident first; the earlier
        of equally confident ones first.

    Note:
        One pass over the remaining boxes for each that stays: 300 candidates take
        about 3 ms at worst, thousands some 10 ms.

    Reference:
        The rule (strictly greater overlap suppresses) is torchvision.ops.nms's,
        https://docs.pytorch.org/vision/stable/generated/torchvision.ops.nms.html.
    """
    if class_id is not None:
        boxes_xyxy = _set_apart(boxes_xyxy, class_id)
    size = areas(boxes_xyxy)
    left, top, right, bottom = boxes_xyxy.T
    remaining = np.argsort(-confidence, kind="stable")
    kept = []
    while len(remaining):
        best, rest = remaining[0], remaining[1:]
        kept.append(int(best))
        width = np.minimum(right[best], right[rest]) - np.maximum(
            left[best], left[rest]
        )
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(
            top[best], top[rest]
        )
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        # Multiplied out, so that boxes without area need no case of their own.
        remaining = rest[overlap <= iou * (size[best] + size[rest] - overlap)]
    return np.array(kept, dtype=np.int64)


def _set_apart(
    boxes_xyxy: NDArray[np.float32], class_id: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Move each class to a region of its own, where no other can overlap it."""
    if not len(boxes_xyxy):
        return boxes_xyxy
    # Classes are numbered anew, so that the shift stays small: 80 classes of 2000
    # pixels leave float32 corners right to 1/64 of a pixel.
    rank = np.unique(class_id, return_inverse=True)[1].astype(np.float32)
    span = boxes_xyxy.max() - boxes_xyxy.min() + np.float32(1)
    shifted: NDArray[np.float32] = boxes_xyxy + (rank * span)[:, None]
    return shifted
