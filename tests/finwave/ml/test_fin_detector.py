from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from finwave.ml.boxes import iou_matrix
from finwave.ml.detector import Detector
from finwave.ml.fin_detector import assignment, data
from finwave.ml.fin_detector.model import Exported, FinDetector
from finwave.ml.fin_detector.train import export, fit
from finwave.ml.onnx_check import check_detector
from finwave.ml.rendering.conditions import Conditions
from finwave.ml.rendering.fins import render_individual
from finwave.ml.rendering.scenes import render_scene
from finwave.ml.rendering.survey import animal, plan_survey

WEIGHTS = Path(data.__file__).parents[1] / "weights"
BUNDLED = WEIGHTS / "fin-detector.onnx"


@pytest.fixture(scope="module")
def bundled():
    return Detector(BUNDLED)


def found(detector, image, boxes):
    """Return how many of the boxes are found, and how many detections are none."""
    detections = detector.predict(image)
    overlap = iou_matrix(detections.xyxy, boxes) >= 0.5
    return int(overlap.any(0).sum()), int((~overlap.any(1)).sum())


def test_bundled_has_the_layout_of_yolov8():
    info = check_detector(BUNDLED)

    assert info.layout == "yolov8"
    assert info.classes == {0: "fin"}
    assert info.is_dynamic


def test_bundled_is_small_and_has_a_card():
    card = json.loads((WEIGHTS / "fin-detector.json").read_text())

    assert BUNDLED.stat().st_size < 15_000_000
    assert {
        "name",
        "classes",
        "input",
        "training_data",
        "licence",
        "measured",
        "limits",
    } <= set(card)
    assert card["measured"]["rendered_scenes"]["n_fins"] > 100


def test_bundled_finds_rendered_fins(bundled):
    """Individuals and seeds that training never saw, at the sizes of the demo."""
    fins = [render_individual(seed) for seed in data.VALIDATION_SEEDS[:12]]
    n_found = n_wrong = n_fins = 0
    for seed in range(36):
        rng = np.random.default_rng((31, seed))
        conditions = Conditions.draw(rng).with_(
            fin_height_px=float(rng.uniform(60, 200))
        )
        scene = render_scene([fins[seed % 12]], rng, conditions)
        right, wrong = found(bundled, scene.image, scene.boxes_xyxy)
        n_fins += len(scene.boxes_xyxy)
        n_found += right
        n_wrong += wrong

    assert n_fins >= 30
    assert n_found / n_fins >= 0.9
    assert n_wrong <= 8


def test_bundled_finds_the_demo_animals(bundled):
    photos = [p for p in plan_survey().labelled if len(p.animals) == 1][::8]
    n_found = n_fins = 0
    for photo in photos:
        fins = [animal(1, code) for code in photo.animals]
        scene = render_scene(fins, np.random.default_rng(photo.seed), photo.conditions)
        n_found += found(bundled, scene.image, scene.boxes_xyxy)[0]
        n_fins += len(scene.boxes_xyxy)

    assert n_found / n_fins >= 0.9


def test_bundled_leaves_an_empty_sea_alone(bundled):
    n_with_boxes = 0
    for seed in range(30):
        rng = np.random.default_rng((32, seed))
        conditions = Conditions.draw(rng).with_(n_distractors=seed % 3)
        scene = render_scene([], rng, conditions)
        n_with_boxes += len(bundled.predict(scene.image)) > 0

    # The card says how often: about one scene in six at confidence 0.15.
    assert n_with_boxes <= 6


def test_bundled_any_size_gives_the_same_fin(bundled):
    rng = np.random.default_rng(2)
    conditions = Conditions.draw(rng).with_(fin_height_px=120.0, blur_px=0.0)
    scene = render_scene([render_individual(20_001)], rng, conditions)
    whole = bundled.predict(scene.image).xyxy[:1]

    cut = bundled.predict(np.ascontiguousarray(scene.image[:, 40:-70])).xyxy[:1]

    assert iou_matrix(whole, cut + np.float32([40, 0, 40, 0]))[0, 0] > 0.7


# How it is taught ------------------------------------------------------------


def test_model_output_has_one_row_a_point():
    torch.manual_seed(0)
    model = FinDetector(pretrained=False).eval()

    with torch.no_grad():
        output = Exported(model)(torch.rand(2, 3, 64, 96))

    # 8 x 12 + 4 x 6 + 2 x 3 points; box, then confidence.
    assert output.shape == (2, 5, 126)
    assert (output[:, 2:4] > 0).all()
    assert ((output[:, 4] > 0) & (output[:, 4] < 1)).all()


def test_giou_by_hand():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    b = torch.tensor([[1.0, 0.0, 3.0, 2.0], [4.0, 0.0, 6.0, 2.0]])

    iou, giou = assignment.iou_and_giou(a, b)

    # Overlap 2 of 6; hull 6. Apart: hull 12, of which 8 are covered.
    torch.testing.assert_close(iou, torch.tensor([1 / 3, 0.0]))
    torch.testing.assert_close(giou, torch.tensor([1 / 3, -1 / 3]))


def points_8():
    grid = torch.stack(
        torch.meshgrid(torch.arange(8), torch.arange(8), indexing="xy"), -1
    )
    return (grid.reshape(-1, 2) + 0.5) * 8


def test_assign_chooses_points_inside_the_fin():
    points = points_8()
    truth = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    boxes = truth.expand(64, 4) + torch.randn(
        64, 4, generator=torch.Generator().manual_seed(1)
    )

    fin_of, target = assignment.assign(
        torch.zeros(64), boxes, points, torch.full((64,), 8.0), truth
    )

    chosen = points[fin_of == 0]
    assert 1 <= len(chosen) <= assignment.TOP_K
    assert ((chosen > 8) & (chosen < 40)).all()
    assert target[fin_of < 0].sum() == 0
    assert 0.5 < target.max() <= 1


def test_assign_without_fins_wants_nothing():
    fin_of, target = assignment.assign(
        torch.zeros(64),
        torch.zeros(64, 4),
        points_8(),
        torch.full((64,), 8.0),
        torch.zeros(0, 4),
    )

    assert (fin_of == -1).all()
    assert (target == 0).all()


def test_assign_gives_a_tiny_fin_a_point():
    truth = torch.tensor([[17.0, 17.0, 20.0, 20.0]])

    fin_of, _target = assignment.assign(
        torch.zeros(64), torch.zeros(64, 4), points_8(), torch.full((64,), 8.0), truth
    )

    assert (fin_of == 0).any()


def test_cropped_moves_and_drops_boxes():
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = np.float32([[50, 20, 90, 60], [0, 0, 30, 30]])

    sample = data.cropped(data.Sample(image, boxes), 40, -10, (100, 80))

    assert sample.image.shape == (80, 100, 3)
    np.testing.assert_array_equal(sample.boxes_xyxy, [[10, 30, 50, 70]])
    assert (sample.image[:10] == 114).all()


def test_resized_mirror_turns_boxes():
    sample = data.Sample(
        np.zeros((50, 100, 3), np.uint8), np.float32([[10, 5, 30, 25]])
    )

    turned = data.resized(sample, (2.0, 2.0), mirror=True)

    np.testing.assert_array_equal(turned.boxes_xyxy, [[140, 10, 180, 50]])


@pytest.mark.parametrize("seed", range(6))
def test_training_sample_is_a_square_with_boxes_inside(seed):
    pool = data.Pool(
        data.rendered_samples(3, range(4), seed=1, size_wh=(320, 224)), [], []
    )

    sample = data.training_sample(pool, np.random.default_rng(seed), 192)

    assert sample.image.shape == (192, 192, 3)
    assert ((sample.boxes_xyxy >= 0) & (sample.boxes_xyxy <= 192)).all()


# torch 2.13's exporter calls deprecated parts of torch itself.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
@pytest.mark.slow
def test_fit_learns_one_picture_and_exports_it(tmp_path):
    rendered = data.rendered_samples(6, range(4), seed=4, size_wh=(192, 128))
    pool = data.Pool([s for s in rendered if len(s.boxes_xyxy)][:2], [], [])
    options = {
        "minutes": 5.0,
        "size_px": 128,
        "batch_size": 4,
        "learning_rate": 2e-3,
        "focus": 2.0,
        "seed": 1,
    }

    model = fit(pool, max_steps=3, **options)
    again = fit(pool, max_steps=3, **options)
    difference = export(model, tmp_path / "fin.onnx")

    for mine, theirs in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert difference < 1e-2
    assert check_detector(tmp_path / "fin.onnx").classes == {0: "fin"}
