from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finwave.ml.prominence import (
    REASONS,
    TierDecision,
    decide_tier,
    prominences,
    retier,
)
from populations.models import Photo


def test_prominences_of_nothing():
    parts = prominences([], [], width_px=100, height_px=80)

    assert len(parts.prominence) == len(parts.area) == len(parts.centrality) == 0


def test_prominences_by_hand():
    # A photo of 600 x 800: half its diagonal is 500, its centre (300, 400).
    # a: 200 x 200 round the centre: area 1, centrality 1;
    #    0.4 + 0.3 + 0.3 * 0.5 = 0.85
    # b: 100 x 200 round (300, 150): half the area; 250 from the centre, 1 - 0.5;
    #    0.4 * 0.5 + 0.3 * 0.5 + 0.3 * 0.9 = 0.62
    # c: 20 x 20 round (10, 10): hypot(290, 390) = 486.0041 from the centre;
    #    0.4 * 0.01 + 0.3 * 0.0279918 + 0.3 * 0.2 = 0.0723975
    boxes = [[200, 300, 400, 500], [250, 50, 350, 250], [0, 0, 20, 20]]

    parts = prominences(boxes, [0.5, 0.9, 0.2], width_px=600, height_px=800)

    assert parts.area == pytest.approx([1, 0.5, 0.01])
    assert parts.centrality == pytest.approx([1, 0.5, 0.0279918], abs=1e-6)
    assert parts.prominence == pytest.approx([0.85, 0.62, 0.0723975], abs=1e-6)


def test_the_corner_has_no_centrality():
    parts = prominences([[0, 0, 0, 0]], [0], width_px=30, height_px=40)

    assert parts.centrality.tolist() == [0]
    assert parts.prominence.tolist() == [0]


@pytest.mark.parametrize(
    ("boxes", "confidence", "size", "sentence"),
    [
        ([[0, 0, 1, 1]], [0.5, 0.5], (9, 9), r"\(2, 4\)"),
        ([[0, 0, 1]], [0.5], (9, 9), r"\(1, 4\)"),
        ([[0, 0, 1, np.nan]], [0.5], (9, 9), "finite"),
        ([[2, 0, 1, 1]], [0.5], (9, 9), "x1 <= x2"),
        ([[0, 0, 1, 1]], [1.5], (9, 9), "confidence"),
        ([[0, 0, 1, 1]], [0.5], (0, 9), "pixels"),
    ],
)
def test_prominences_refuse(boxes, confidence, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        prominences(boxes, confidence, width_px=size[0], height_px=size[1])


@pytest.mark.parametrize(
    ("prominence", "n_labels", "decision"),
    [
        ([], 1, (3, "nothing-detected", None)),
        ([], 2, (3, "nothing-detected", None)),
        ([0.1], 1, (1, "single", 0)),
        ([0.1], 0, (1, "single", 0)),
        ([0.9], 2, (3, "several-labels", None)),
        ([0.5, 0.9], 1, (2, "dominant", 1)),
        ([0.5, 0.9], 3, (3, "several-labels", None)),
        ([0.5, 0.6], 1, (3, "below-threshold", None)),
        ([0.69, 0.69], 1, (3, "below-threshold", None)),
        ([0.7, 0.1], 1, (3, "below-threshold", None)),  # it must exceed 0.7
        ([0.1 + 0.2 + 0.4, 0.1], 1, (3, "below-threshold", None)),  # 0.7000000000000001
        ([0.7001, 0.1], 1, (2, "dominant", 0)),
        ([0.9, 0.9], 1, (3, "not-dominant", None)),
        ([0.9, 0.86], 1, (3, "not-dominant", None)),
        ([0.90, 0.85], 1, (3, "not-dominant", None)),  # at the margin is within it
        ([0.9, 0.849], 1, (2, "dominant", 0)),
        ([0.2, 0.95, 0.3, 0.91], 1, (3, "not-dominant", None)),
    ],
)
def test_decide_tier(prominence, n_labels, decision):
    decided = decide_tier(prominence, threshold=0.7, margin=0.05, n_labels=n_labels)

    assert decided == TierDecision(*decision)


@pytest.mark.parametrize("prominence", [[np.nan, 0.5], [[0.5]]])
def test_decide_tier_refuses(prominence):
    with pytest.raises(ValueError, match="expected"):
        decide_tier(prominence, threshold=0.7, margin=0.05, n_labels=1)


# Sixteenths, so that ties, the margin and the threshold are often hit exactly.
PROMINENCE = st.one_of(st.integers(0, 16).map(lambda n: n / 16), st.floats(0, 1))
PHOTOS = st.lists(
    st.tuples(st.lists(PROMINENCE, max_size=5), st.integers(0, 3)), max_size=20
)


@given(PHOTOS, PROMINENCE, st.sampled_from([0, 0.05, 1 / 16, 0.5]))
def test_retier_decides_as_decide_tier_does(photos, threshold, margin):
    flat = [value for values, _ in photos for value in values]
    offsets = np.cumsum([0, *(len(values) for values, _ in photos)])
    n_labels = [n for _, n in photos]

    tiers = retier(flat, offsets, n_labels, threshold=threshold, margin=margin)

    decisions = [
        TierDecision(tier, reason, None if index < 0 else int(index - offset))
        for tier, reason, index, offset in zip(
            tiers.tier, tiers.reason_names(), tiers.index, offsets, strict=False
        )
    ]
    assert decisions == [
        decide_tier(values, threshold=threshold, margin=margin, n_labels=n)
        for values, n in photos
    ]


def test_retier_counts_reasons():
    tiers = retier([0.9, 0.2, 0.5], [0, 2, 3, 3], [1, 1, 1], threshold=0.7, margin=0.05)

    assert tiers.tier.tolist() == [2, 1, 3]
    assert tiers.index.tolist() == [0, 2, -1]
    assert tiers.counts() == {
        "single": 1,
        "dominant": 1,
        "nothing-detected": 1,
        "not-dominant": 0,
        "below-threshold": 0,
        "several-labels": 0,
    }


@pytest.mark.parametrize(
    ("offsets", "n_labels"),
    [([0, 1], [1]), ([1, 2], [1]), ([0, 2, 1, 2], [1, 1, 1]), ([0, 2], [1, 1])],
)
def test_retier_refuses_offsets_that_are_no_partition(offsets, n_labels):
    with pytest.raises(ValueError, match="offsets"):
        retier([0.1, 0.2], offsets, n_labels, threshold=0.7, margin=0.05)


def test_retier_moves_20000_photos_at_once():
    rng = np.random.default_rng(0)
    offsets = np.cumsum([0, *rng.integers(0, 7, 20_000)])
    prominence = rng.random(offsets[-1])
    n_labels = np.ones(20_000, np.int64)

    started = time.process_time()
    retier(prominence, offsets, n_labels, threshold=0.7, margin=0.05)

    # 7 ms as measured, on one core.
    assert time.process_time() - started < 0.1


def test_reasons_are_words_of_the_photo_model():
    assert set(REASONS) <= set(Photo.TierReason.values)
