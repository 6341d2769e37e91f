from __future__ import annotations

import numpy as np
import pytest

from finwave.ml import gallery
from finwave.ml.gallery import group_sightings, rank_individuals, rank_sighting


def unit(*angles_deg: float) -> np.ndarray:
    radians = np.radians(angles_deg)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def cos(angle_deg: float) -> float:
    return float(np.cos(np.radians(angle_deg)))


def test_score_mixes_best_match_and_centroid():
    # Individual 7 at 10 and 30 degrees, centroid at 20; individual 3 at 50.
    found = rank_individuals(unit(0), unit(10, 50, 30), np.array([7, 3, 7]))

    w = gallery.CENTROID_WEIGHT
    assert found.labels.tolist() == [3, 7]
    assert found.best_match.tolist() == [[1, 0]]
    assert found.best_similarity[0] == pytest.approx([cos(50), cos(10)], abs=1e-6)
    assert found.scores[0] == pytest.approx(
        [cos(50), (1 - w) * cos(10) + w * cos(20)], abs=1e-6
    )
    labels, scores = found.top(1)
    assert labels.tolist() == [[7]]
    assert scores[0, 0] == found.scores[0, 1]


def test_equal_to_the_plain_way_on_random_data():
    rng = np.random.default_rng(0)
    query, everyone = (rng.normal(size=(n, 8)).astype(np.float32) for n in (20, 200))
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    everyone /= np.linalg.norm(everyone, axis=1, keepdims=True)
    labels = rng.integers(0, 30, 200)

    found = rank_individuals(query, everyone, labels)

    for c, label in enumerate(found.labels):
        own = everyone[labels == label]
        centroid = own.sum(axis=0) / np.linalg.norm(own.sum(axis=0))
        w = gallery.CENTROID_WEIGHT
        expected = (1 - w) * (query @ own.T).max(axis=1) + w * query @ centroid
        assert found.scores[:, c] == pytest.approx(expected, abs=1e-5)
        assert set(labels[found.best_match[:, c]]) == {label}


@pytest.mark.parametrize(("n_query", "n_gallery"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_ask_or_to_search(n_query, n_gallery):
    found = rank_individuals(
        unit(*range(n_query)), unit(*range(n_gallery)), np.zeros(n_gallery, int)
    )

    assert found.scores.shape == (n_query, min(n_gallery, 1))
    assert rank_sighting(unit(*range(n_query)), unit(), np.zeros(0, int)) == []


def test_same_side_counts_first():
    # Individual 0: left at 80 degrees, right at 0. A left query at 0 must not be won
    # over by the right side; individual 1 has only a right side, which counts.
    sides = ["left", "right", "right"]
    labels = np.array([0, 0, 1])

    found = rank_individuals(
        unit(0),
        unit(80, 0, 40),
        labels,
        query_sides=["left"],
        gallery_sides=sides,
    )

    assert found.best_match.tolist() == [[0, 2]]
    assert found.best_similarity[0] == pytest.approx([cos(80), cos(40)], abs=1e-6)
    ignoring = rank_individuals(unit(0), unit(80, 0, 40), labels)
    assert ignoring.best_match.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("query_side", "gallery_side"), [("unknown", "right"), ("", "left"), ("left", "")]
)
def test_an_unknown_side_may_be_any(query_side, gallery_side):
    found = rank_individuals(
        unit(0),
        unit(0, 60),
        np.array([0, 0]),
        query_sides=[query_side],
        gallery_sides=[gallery_side, "left"],
    )

    assert found.best_match.tolist() == [[0]]


def test_sighting_pools_the_evidence_of_all_its_crops():
    # One crop resembles individual 1 exactly, two resemble individual 0 well.
    candidates = rank_sighting(unit(2, 4, 90), unit(0, 90), np.array([0, 1]), top=5)

    assert [c.label for c in candidates] == [0, 1]
    assert (candidates[0].best_match, candidates[0].best_query) == (0, 0)
    assert (candidates[1].best_match, candidates[1].best_query) == (1, 2)
    mean = (cos(2) + cos(4) + cos(90)) / 3
    assert candidates[0].similarity == pytest.approx(mean, abs=1e-6)
    assert len(rank_sighting(unit(0), unit(0, 90), np.array([0, 1]), top=1)) == 1


def test_grouping_joins_what_is_alike():
    groups = group_sightings(unit(0, 60, 3, 62, 130), [1, 2, 3, 4, 5], threshold=0.9)

    assert groups.tolist() == [0, 1, 0, 1, 2]


def test_two_crops_of_one_photo_are_two_animals():
    # Identical crops, two on each photo.
    groups = group_sightings(unit(0, 0, 0, 0), [1, 1, 2, 2], threshold=0.5)

    assert groups[0] != groups[1]
    assert groups[2] != groups[3]
    assert len(set(groups.tolist())) == 2


def test_cannot_link_holds_for_joined_groups():
    # 0 and 1 are of one photo; 2 is like both and joins one of them only.
    groups = group_sightings(unit(0, 10, 4), [1, 1, 2], threshold=0.1)

    assert groups.tolist() == [0, 1, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_grouping_of_few(n):
    assert group_sightings(unit(*range(n)), [1] * n).tolist() == [0] * n


def test_linkage_is_the_average():
    # Chain at 0, 20, 40 degrees: single linkage would join all at cos(20).
    threshold = cos(25)

    groups = group_sightings(unit(0, 20, 40), [1, 2, 3], threshold)

    assert len(set(groups.tolist())) == 2
