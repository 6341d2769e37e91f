"""The one preprocessing of evaluation and inference. Numpy and Pillow only.

A crop is squashed to a square rather than letterboxed: every pixel of the input shows
the animal, and the crops of one marker have much the same shape. (wildlife-tools, MIT,
and the MegaDescriptor models resize in the same way.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRANSFORM = "squash-bilinear-v1"  # stored in exports; change it with the code below


def resize_square(image: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Scale an image to a square, with antialiasing.

    Args:
        image: (H, W, 3) RGB uint8.
        size_px: side of the square.

    Returns:
        (size_px, size_px, 3) RGB uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        message = f"expected RGB uint8 (H, W, 3), got {image.dtype} {image.shape}"
        raise ValueError(message)
    scaled = Image.fromarray(image).resize(
        (size_px, size_px), Image.Resampling.BILINEAR
    )
    return np.asarray(scaled)


def normalise(
    images: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.float32]:
    """Turn pixels into what the network reads: (value / 255 - mean) / std.

    Args:
        images: (N, S, S, 3) RGB uint8.
        mean: three values, for pixels in [0, 1].
        std: three values, for pixels in [0, 1].

    Returns:
        (N, 3, S, S) float32, contiguous.
    """
    gain = (1.0 / (255.0 * np.asarray(std))).astype(np.float32)
    shift = (-np.asarray(mean) / np.asarray(std)).astype(np.float32)
    scaled = images.astype(np.float32) * gain + shift
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
