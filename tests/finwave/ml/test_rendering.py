from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from finwave.ml.images import inspect_image
from finwave.ml.rendering.conditions import LIGHTS, Conditions
from finwave.ml.rendering.fins import render_individual
from finwave.ml.rendering.scenes import DESCRIPTION, render_scene
from finwave.ml.rendering.survey import label_rows, plan_survey, render_photo

SMALL = {"width_px": 480, "height_px": 320}


@pytest.fixture(scope="module")
def fins():
    return [render_individual(seed) for seed in range(4)]


def scene_of(fins, seed, **changes):
    rng = np.random.default_rng(seed)
    conditions = Conditions.draw(rng).with_(**{**SMALL, **changes})
    return render_scene(fins, rng, conditions)


def test_individual_same_seed_same_animal():
    first, again, other = (render_individual(seed) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first.outline, again.outline)
    assert first.nicks == again.nicks
    assert first.texture("left").tobytes() == again.texture("left").tobytes()
    assert not np.array_equal(first.outline, other.outline)


def test_individual_sides_share_the_outline_but_not_the_pigment(fins):
    left, right = (np.asarray(fins[0].texture(side)) for side in ("left", "right"))

    np.testing.assert_array_equal(left[..., 3], right[..., 3])
    assert np.abs(left[..., :3].astype(int) - right[..., :3]).mean() > 1


def test_scene_same_seed_same_pixels(fins):
    first, again, other = (scene_of(fins[:2], seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("seed", range(12))
def test_scene_boxes_lie_inside_the_picture_and_name_their_animals(fins, seed):
    scene = scene_of(fins[: seed % 4], seed)

    assert scene.image.shape == (320, 480, 3)
    assert scene.image.dtype == np.uint8
    assert len(scene.boxes_xyxy) == len(scene.ids) <= seed % 4
    assert (scene.boxes_xyxy >= 0).all()
    assert (scene.boxes_xyxy <= [480, 320, 480, 320]).all()
    assert (scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2] >= 9).all()
    assert len(set(scene.ids.tolist())) == len(scene.ids)


def test_scene_without_animals_has_no_boxes():
    scene = scene_of([], 1, n_distractors=3)

    assert scene.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("light", LIGHTS)
def test_scene_box_is_where_the_animal_is(fins, light):
    """What changes when the animal is there, changes most inside its box."""
    settings = {
        "light": light,
        "n_distractors": 0,
        "fin_height_px": 110,
        "backlight": 0.8,
        "noise": 0.0,
        "blur_px": 0.0,
        "motion_px": 0.0,
    }
    with_fin = scene_of(fins[:1], 21, **settings)
    empty = scene_of([], 21, **settings)
    changed = np.abs(with_fin.image.astype(int) - empty.image).sum(2) > 30
    (x1, y1, x2, y2), *_ = with_fin.boxes_xyxy.astype(int)

    inside = changed[y1:y2, x1:x2].mean()

    assert inside > 0.3
    assert changed[: max(y1 - 4, 0)].mean() < 0.01


def test_scene_mirrored_side_turns_the_fin_round(fins):
    """Seen from the left the animal heads left: its tip leans to the right."""
    fixed = {
        "light": "overcast",
        "backlight": 1.0,
        "fin_height_px": 140,
        "haze": 0.0,
        "n_distractors": 0,
    }
    leans = {}
    for side in ("left", "right"):
        scene = scene_of(fins[:1], 9, side=side, **fixed)
        x1, y1, x2, _y2 = scene.boxes_xyxy[0].astype(int)
        top = scene.image[y1 : y1 + 8, x1:x2].mean((0, 2))
        leans[side] = np.argmin(top) / len(top)

    assert leans["left"] > 0.5 > leans["right"]


def test_survey_plans_a_season():
    survey = plan_survey()
    single = Counter(p.labels[0] for p in survey.labelled if len(p.animals) == 1)
    encounters = {
        code: {p.encounter for p in survey.labelled if code in p.labels}
        for code in survey.codes
    }

    assert len(survey.codes) == 14
    assert 250 <= len(survey.labelled) <= 350
    assert min(single.values()) >= 6
    assert all(len(names) >= 3 for names in encounters.values())
    assert {0, 1, 2, 3} <= {len(p.animals) for p in survey.labelled}
    assert len({p.path for p in (*survey.labelled, *survey.new)}) == len(
        survey.labelled
    ) + len(survey.new)


def test_survey_new_encounters_hold_strangers_and_no_labels():
    survey = plan_survey()
    seen = {code for photo in survey.new for code in photo.animals}

    assert len({photo.encounter for photo in survey.new}) == 2
    assert len(seen - set(survey.codes)) == 2
    assert all(photo.labels == () for photo in survey.new)


def test_survey_photo_says_that_it_is_rendered(tmp_path):
    photo = next(p for p in plan_survey().labelled if len(p.animals) == 1)

    content = render_photo(photo)

    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    exif = Image.open(io.BytesIO(content)).getexif()
    assert content == render_photo(photo)
    assert exif[0x010E] == DESCRIPTION
    assert inspect_image(path).taken_at == photo.taken_at
    assert inspect_image(path).width_px == 960


def test_survey_rows_name_every_photo_once():
    survey = plan_survey()

    rows = label_rows(survey.labelled)

    assert len({row["filename"] for row in rows}) == len(survey.labelled)
    assert {row["side"] for row in rows if not row["individual"]} == {""}
    assert {row["side"] for row in rows if row["individual"]} == {"left", "right"}
