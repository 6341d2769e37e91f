from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from finwave.ml import metrics


def unit(*angles_deg: float) -> np.ndarray:
    radians = np.radians(angles_deg)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_examples_of_the_docstrings():
    assert doctest.testmod(metrics).failed == 0
    assert doctest.testmod(metrics).attempted > 5


def test_retrieval_by_hand():
    # Query at 0 degrees of individual 0; gallery by distance: 10 (0), 20 (1), 30 (0),
    # 40 (1). Right at ranks 1 and 3: AP = (1/1 + 2/3) / 2 = 5/6.
    # Query at 90 of individual 1; 40 (1), 30 (0), 20 (1), 10 (0). The same: 5/6.
    # Query at 90 of individual 0: right at ranks 2 and 4: AP = (1/2 + 2/4) / 2 = 1/2.
    measured = metrics.retrieval_metrics(
        unit(0, 90, 90),
        unit(10, 20, 30, 40),
        np.array([0, 1, 0]),
        np.array([0, 1, 0, 1]),
    )

    assert measured.n_queries == 3
    assert measured.top1 == pytest.approx(2 / 3)
    assert measured.top5 == 1.0
    assert measured.mean_average_precision == pytest.approx((5 / 6 + 5 / 6 + 1 / 2) / 3)


def test_queries_without_their_individual_in_the_gallery_are_not_counted():
    measured = metrics.retrieval_metrics(
        unit(0, 0), unit(0), np.array([0, 7]), np.array([0])
    )

    assert (measured.n_queries, measured.top1) == (1, 1.0)


def test_nothing_to_ask_gives_nan():
    empty = np.empty((0, 2), np.float32)
    nobody = np.empty(0, int)

    measured = metrics.retrieval_metrics(empty, unit(0), nobody, np.array([0]))

    assert measured.n_queries == 0
    assert math.isnan(measured.top1)
    assert math.isnan(metrics.individual_cmc(np.empty((0, 3)), nobody, 1))
    assert math.isnan(metrics.expected_calibration_error(np.empty(0), np.empty(0) > 0))
    assert all(
        map(
            math.isnan,
            metrics.bootstrap_interval(np.empty(0), nobody, np.random.default_rng(0)),
        )
    )


@pytest.mark.parametrize(("k", "expected"), [(1, 1 / 3), (2, 2 / 3), (3, 2 / 3)])
def test_cmc_over_individuals(k, expected):
    # Ranks of the truth: 1st, 2nd, excluded.
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, -np.inf, 0.1]])

    assert metrics.individual_cmc(scores, np.array([0, 1, 1]), k) == pytest.approx(
        expected
    )


def test_a_tie_counts_against_the_query():
    scores = np.array([[0.5, 0.5]])

    assert metrics.individual_cmc(scores, np.array([0]), 1) == 0.0
    assert metrics.individual_cmc(scores, np.array([1]), 1) == 0.0


def test_known_and_unknown_by_hand():
    measured = metrics.known_unknown_metrics(
        np.array([0.1, 0.2, 0.9, 0.8, 0.3]),
        np.array([False, False, False, True, True]),
    )

    assert measured.known_recall == pytest.approx(2 / 3)
    assert measured.unknown_recall == pytest.approx(1 / 2)
    assert measured.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_calibration_error_by_hand():
    # Bin 0.9: two answers, stated 0.95 on average, right once: gap 0.45 of weight 1/2.
    # Bin 0.2: two answers, stated 0.25, never right: gap 0.25 of weight 1/2.
    error = metrics.expected_calibration_error(
        np.array([0.92, 0.98, 0.25, 0.25]), np.array([True, False, False, False])
    )

    assert error == pytest.approx((0.45 + 0.25) / 2)


def test_certainty_falls_into_the_last_bin():
    assert metrics.expected_calibration_error(np.ones(2), np.array([True, True])) == 0.0


def test_interval_resamples_whole_encounters():
    # A hundred queries in two encounters are no more than two observations.
    values = np.repeat([0.0, 1.0], 50)

    low, high = metrics.bootstrap_interval(
        values, np.repeat([4, 9], 50), np.random.default_rng(0)
    )

    assert (low, high) == (0.0, 1.0)
    low, high = metrics.bootstrap_interval(
        values, np.arange(100), np.random.default_rng(0)
    )
    assert 0.35 < low < 0.45
    assert 0.55 < high < 0.65
