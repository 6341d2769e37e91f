"""What a detector found on one photo, as parallel arrays. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The detections of one photo, most confident first.

    Attributes:
        xyxy: float32 (N, 4), x1, y1, x2, y2 in pixels of the upright original photo,
            half-open, each with an area.
        confidence: float32 (N,), the detector's, in [0, 1].
        class_id: int64 (N,), the detector's class, from 0.

    Raises:
        ValueError: On construction, if a shape, a dtype or a range is wrong.

    Example:
        >>> len(Detections.empty())
        0
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        for name, dtype, shape in (
            ("xyxy", np.float32, (n, 4)),
            ("confidence", np.float32, (n,)),
            ("class_id", np.int64, (n,)),
        ):
            array: NDArray[np.generic] = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"{name} must be {np.dtype(dtype)} {shape}, "
                    f"not {array.dtype} {array.shape}"
                )
        if not np.isfinite(self.xyxy).all():
            raise ValueError("xyxy must be finite")
        if not (self.xyxy[:, 2:] > self.xyxy[:, :2]).all():
            raise ValueError("every box must have x1 < x2 and y1 < y2")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("confidence must lie in [0, 1]")
        if (self.class_id < 0).any():
            raise ValueError("class_id must not be negative")

    @classmethod
    def empty(cls) -> Self:
        """Return no detections."""
        return cls(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return those chosen by a mask (N,) or by indices (K,)."""
        return type(self)(
            self.xyxy[chosen], self.confidence[chosen], self.class_id[chosen]
        )
