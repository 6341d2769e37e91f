from __future__ import annotations

import numpy as np
import pytest
import torch

from finwave.ml.data import normalised
from finwave.ml.transforms import normalise, resize_square

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_training_evaluation_and_inference_read_the_same_numbers():
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)

    in_training = normalised(images, mean=MEAN, std=STD, device=torch.device("cpu"))

    assert np.array_equal(in_training.numpy(), normalise(images, MEAN, STD))


def test_normalise_by_hand():
    image = np.full((1, 1, 1, 3), 255, np.uint8)
    image[..., 1] = 0

    values = normalise(image, (0.5, 0.25, 0.5), (0.5, 0.5, 0.25))

    assert values.shape == (1, 3, 1, 1)
    assert values.dtype == np.float32
    assert values.ravel() == pytest.approx([1.0, -0.5, 2.0])


def test_resize_keeps_colours_and_their_order():
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = 200
    image[:20, :, 2] = 90

    square = resize_square(image, 16)

    assert square.shape == (16, 16, 3)
    assert np.all(square[..., 0] == 200)
    assert np.all(square[..., 1] == 0)
    assert square[0, 0, 2] == 90
    assert square[-1, 0, 2] == 0


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255

    assert np.all(np.abs(resize_square(stripes, 8).astype(int) - 127) < 20)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_anything_but_rgb_bytes_is_refused(image):
    with pytest.raises(ValueError, match="RGB uint8"):
        resize_square(image, 8)
