"""How sharp an image is, to name blurred crops. Numpy and Pillow only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# One size for all, so that a large and a small crop can be compared.
LONG_SIDE_PX = 256

# Luma of ITU-R BT.601, as Pillow's own conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def sharpness(image: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian at 256 px long side; higher is sharper.

    Args:
        image: (H, W, 3) RGB, uint8.

    Returns:
        At least 0, in squared grey levels; 0 for a flat image or one without inner
        pixels. Smaller images are not enlarged, which would only blur them.

    Raises:
        ValueError: If the image is not (H, W, 3) uint8.

    Reference:
        Pech-Pacheco et al. (2000), "Diatom autofocusing in brightfield microscopy: a
        comparative study", ICPR: the variance of the Laplacian as focus measure. The
        kernel is the 4-neighbour one.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected (H, W, 3) uint8, not {image.shape} {image.dtype}")
    grey = _at_long_side(image).astype(np.float32) @ _LUMA  # (H, W)
    if min(grey.shape) < 3:
        return 0.0
    laplacian = (
        grey[:-2, 1:-1]
        + grey[2:, 1:-1]
        + grey[1:-1, :-2]
        + grey[1:-1, 2:]
        - 4 * grey[1:-1, 1:-1]
    )
    return float(laplacian.var(dtype=np.float64))


def _at_long_side(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = LONG_SIDE_PX / max(height, width)
    if scale >= 1:
        return image
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(image).resize(size_wh, Image.Resampling.BOX)
    return np.asarray(small)
