from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finwave.ml.letterbox import PADDING, Letterbox

SIDES = st.integers(16, 8000)


@pytest.mark.parametrize(
    ("photo_wh", "fitted_wh", "offset_xy"),
    [
        ((640, 640), (640, 640), (0, 0)),
        ((4000, 3000), (640, 480), (0, 80)),
        ((3000, 4000), (480, 640), (80, 0)),
        ((320, 160), (640, 320), (0, 160)),  # small photos are enlarged
        ((1000, 333), (640, 213), (0, 213)),  # the odd pixel goes below
        ((30000, 16), (640, 1), (0, 319)),
    ],
)
def test_square(photo_wh, fitted_wh, offset_xy):
    letterbox = Letterbox.square(photo_wh, (640, 640))

    assert letterbox.fitted_wh == fitted_wh
    assert letterbox.offset_xy == offset_xy
    assert letterbox.canvas_wh == (640, 640)


@pytest.mark.parametrize(
    ("photo_wh", "canvas_wh"),
    [
        ((4000, 3000), (640, 480)),
        ((1920, 1080), (640, 384)),
        ((1080, 1920), (384, 640)),
        ((640, 640), (640, 640)),
        ((30000, 16), (640, 32)),
    ],
)
def test_rectangular_takes_the_smallest_canvas_of_whole_strides(photo_wh, canvas_wh):
    letterbox = Letterbox.rectangular(photo_wh, (640, 640), stride_px=32)

    assert letterbox.canvas_wh == canvas_wh


def test_apply_image_centres_the_photo_on_grey():
    image = np.zeros((2, 4, 3), np.uint8)
    image[0], image[1] = 10, 20

    canvas = Letterbox.square((4, 2), (4, 4)).apply_image(image)

    assert canvas[:, 0, 0].tolist() == [PADDING, 10, 20, PADDING]
    assert canvas.shape == (4, 4, 3)


def test_apply_image_shrinks_between_four_pixels():
    # To a third: output pixel 0 looks at 0.5 * 3 - 0.5 = 1.0, exactly pixel 1. An
    # average over all covered pixels would be (0 + 90 + 30) / 3 = 40.
    row = np.array([0, 90, 30] * 3, np.uint8)
    image = np.repeat(np.tile(row, (9, 1))[:, :, None], 3, axis=2)

    canvas = Letterbox.square((9, 9), (3, 3)).apply_image(image)

    assert canvas[0, :, 0].tolist() == [90, 90, 90]


def test_apply_image_enlarges_bilinearly():
    # Twice as large: the pixels look at -0.25 (the edge), 0.25, 0.75, 1.25 (the edge).
    image = np.repeat(np.array([[0, 100]] * 2, np.uint8)[:, :, None], 3, axis=2)

    canvas = Letterbox.square((2, 2), (4, 4)).apply_image(image)

    assert canvas[0, :, 0].tolist() == [0, 25, 75, 100]


def test_a_reduced_image_lands_where_the_full_one_would():
    full = np.zeros((480, 640, 3), np.uint8)
    full[:, 320:] = 200
    letterbox = Letterbox.square((640, 480), (64, 64))

    from_full = letterbox.apply_image(full)
    from_half = letterbox.apply_image(np.ascontiguousarray(full[::2, ::2]))

    assert np.abs(from_full.astype(int) - from_half).max() <= 1


@given(SIDES, SIDES, st.booleans())
def test_boxes_come_back(width, height, is_square):
    if is_square:
        letterbox = Letterbox.square((width, height), (640, 480))
    else:
        letterbox = Letterbox.rectangular((width, height), (640, 640), stride_px=32)
    box = np.array([[0, 0, width, height], [1, 2, width / 2, height]], np.float32)

    on_canvas = letterbox.to_model(box)

    assert (on_canvas >= -1e-3).all()
    assert (on_canvas <= np.array(letterbox.canvas_wh * 2) + 1e-3).all()
    assert letterbox.to_image(on_canvas) == pytest.approx(
        box, abs=1e-3 * max(width, height)
    )


def test_to_model_is_exact_for_a_photo_at_half_size():
    # 1280 x 960 to 640 x 480, 80 rows of padding above.
    letterbox = Letterbox.square((1280, 960), (640, 640))
    box = np.array([[100, 200, 300, 400]], np.float32)

    assert letterbox.to_model(box).tolist() == [[50, 180, 150, 280]]
    assert letterbox.to_image(letterbox.to_model(box)).tolist() == box.tolist()
