from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from finwave.ml.sharpness import sharpness


def grey(rows) -> np.ndarray:
    return np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2)


def test_sharpness_by_hand():
    # The inner pixels of the 3 x 4 image are 10 and 20; their neighbours but each
    # other are 0. Laplacians: 20 - 40 = -20 and 10 - 80 = -70. Mean -45, variance 625.
    image = grey([[0, 0, 0, 0], [0, 10, 20, 0], [0, 0, 0, 0]])

    assert sharpness(image) == pytest.approx(625, rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (50, 50), (400, 300)])
def test_a_flat_image_has_none(size):
    assert sharpness(np.full((*size, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-6)


def test_blur_lowers_it_whatever_the_size():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8))

    values = [
        sharpness(np.asarray(noise.filter(ImageFilter.GaussianBlur(radius))))
        for radius in (0, 1, 2, 4, 8)
    ]

    assert values == sorted(values, reverse=True)


def test_sharpness_refuses_other_arrays():
    with pytest.raises(ValueError, match="uint8"):
        sharpness(np.zeros((9, 9), np.uint8))


def test_real_fins_blurred_are_told_from_sharp(real_data):
    for path in sorted((real_data / "fins_apache" / "images").rglob("*.jpg"))[:5]:
        with Image.open(path) as file:
            photo = file.convert("RGB")
        blurred = photo.resize((photo.width // 12, photo.height // 12)).resize(
            photo.size
        )

        assert sharpness(np.asarray(blurred)) < sharpness(np.asarray(photo)) / 3
