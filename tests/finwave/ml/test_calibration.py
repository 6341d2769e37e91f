from __future__ import annotations

import json
import math

import numpy as np
import pytest

from finwave.ml.calibration import Calibration, fit, fit_group_threshold

MADE = Calibration(
    slope=10.0,
    offset=-5.0,
    n_queries=50,
    expected_calibration_error=0.02,
    balanced_accuracy=0.9,
    group_threshold=0.5,
)


def answers(n: int, rng: np.random.Generator, n_candidates: int = 12) -> tuple:
    """Draw scores: others about 0.2, the own individual about 0.7."""
    scores = rng.normal(0.2, 0.1, (n, n_candidates))
    truth = rng.integers(0, n_candidates, n)
    scores[np.arange(n), truth] = rng.normal(0.7, 0.15, n)
    return scores.astype(np.float32), truth


def test_probabilities_by_hand():
    # Weights: exp(10 * 0.5 - 5) = 1, exp(10 * 0.7 - 5) = e^2, new = 1.
    known, new = MADE.probabilities(np.array([0.5, 0.7]))

    total = 2 + math.e**2
    assert known == pytest.approx([1 / total, math.e**2 / total])
    assert new == pytest.approx(1 / total)


def test_probabilities_of_many_rows_and_of_an_empty_gallery():
    known, new = MADE.probabilities(np.array([[0.5, -np.inf], [0.9, 0.9]]))

    assert known.shape == (2, 2)
    assert known[0, 1] == 0.0
    assert known.sum(axis=1) + new == pytest.approx([1, 1])
    assert MADE.probabilities(np.empty(0))[1] == 1.0


def test_json_round_trip_and_the_empty_one():
    assert Calibration.from_json(json.loads(json.dumps(MADE.to_json()))) == MADE
    assert Calibration.from_json({}) is None


def test_fit_is_the_highest_likelihood():
    rng = np.random.default_rng(0)
    scores, truth = answers(200, rng)

    fitted = fit(scores, truth, np.arange(200), group_threshold=0.5)

    def likelihood(slope: float, offset: float) -> float:
        one = Calibration(slope, offset, 0, 0.0, 0.0, 0.0)
        known, _ = one.probabilities(scores)
        without = scores.copy()
        without[np.arange(200), truth] = -np.inf
        _, new = one.probabilities(without)
        return float(np.log(known[np.arange(200), truth]).sum() + np.log(new).sum())

    best = likelihood(fitted.slope, fitted.offset)
    # The prior weighs as little as a query; a step away must be clearly worse.
    for slope, offset in [(1.2, 1), (0.8, 1), (1, 1.2), (1, 0.8)]:
        assert likelihood(fitted.slope * slope, fitted.offset * offset) < best - 1


def test_measured_figures_hold_on_new_answers():
    rng = np.random.default_rng(1)
    fitted = fit(*answers(400, rng), np.arange(400), group_threshold=0.5)
    scores, truth = answers(2000, rng)

    known, new = fitted.probabilities(scores)

    assert fitted.expected_calibration_error < 0.05
    is_right = known.argmax(axis=1) == truth
    stated = known.max(axis=1)
    is_known = stated > new
    assert abs(stated[is_known].mean() - is_right[is_known].mean()) < 0.05
    assert fitted.balanced_accuracy > 0.9


def test_perfect_answers_do_not_run_away():
    scores = np.full((40, 4), -0.5, np.float32)
    truth = np.arange(40) % 4
    scores[np.arange(40), truth] = 0.99

    fitted = fit(scores, truth, np.arange(40), group_threshold=0.5)

    assert 0 < fitted.slope < 200
    assert fitted.balanced_accuracy == 1.0


def test_scores_that_say_nothing_give_doubtful_probabilities():
    rng = np.random.default_rng(2)
    scores = rng.normal(0.5, 0.1, (300, 10)).astype(np.float32)

    fitted = fit(scores, rng.integers(0, 10, 300), np.arange(300), group_threshold=0.5)

    known, _ = fitted.probabilities(scores)
    assert known.max() < 0.3
    # The number of candidates must not give the answer away.
    assert 0.3 < fitted.balanced_accuracy < 0.7


@pytest.mark.parametrize(
    ("n", "n_groups", "n_individuals"),
    [(0, 1, 1), (19, 19, 5), (40, 3, 3), (40, 40, 1)],
)
def test_too_little_to_say_anything(n, n_groups, n_individuals):
    scores = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)

    truth = np.arange(n) % n_individuals

    assert fit(scores, truth, np.arange(n) % n_groups, group_threshold=0.5) is None


def test_group_threshold_limits_false_joins():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(60, 16)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = np.arange(60) // 2

    threshold = fit_group_threshold(embeddings, labels, false_joins=0.05)

    cosine = embeddings @ embeddings.T
    is_different = labels[:, None] != labels[None, :]
    assert (cosine[is_different] > threshold).mean() == pytest.approx(0.05, abs=0.01)
    assert fit_group_threshold(embeddings[:4], labels[:4], default=0.42) == 0.42


def test_few_large_groups_are_folded_by_individual_and_say_so():
    scores = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    truth = np.arange(40) % 5

    few = fit(scores, truth, np.arange(40) % 3, group_threshold=0.5)
    many = fit(scores, truth, np.arange(40) % 8, group_threshold=0.5)

    assert few.n_groups == 0
    assert many.n_groups == 8
    # The parameters are fitted on all queries; only their check differs.
    assert (few.slope, few.offset) == (many.slope, many.offset)
