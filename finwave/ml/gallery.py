"""Exact search: whom does a crop, or a whole sighting, look like? Numpy only.

An individual's score mixes its best single match with its centroid; a sighting's
score is the mean over its crops. Grouping crops into sightings is here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CENTROID_WEIGHT = 0.3  # share of the centroid in an individual's score
DEFAULT_GROUP_THRESHOLD = 0.5  # cosine; used where no calibration was possible
UNKNOWN_SIDES = frozenset({"", "unknown"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ranked answer for a sighting."""

    label: int  # individual, as numbered in the gallery's labels
    similarity: float  # pooled score, in [-1, 1]
    best_match: int  # index of the gallery crop most like any crop of the sighting
    best_query: int  # index of that crop of the sighting


@dataclass(frozen=True, slots=True)
class IndividualScores:
    """Scores of every individual for every query crop."""

    labels: NDArray[np.int64]  # (C,) individuals, ascending
    scores: NDArray[np.float32]  # (Q, C) mixed score, in [-1, 1]
    best_match: NDArray[np.int64]  # (Q, C) index of the nearest gallery crop
    best_similarity: NDArray[np.float32]  # (Q, C) its cosine

    def __len__(self) -> int:
        return len(self.scores)

    def top(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the k best individuals of each query: labels, scores, (Q, <=k)."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :k]
        return self.labels[order], np.take_along_axis(self.scores, order, axis=1)


def rank_individuals(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    labels: NDArray[np.integer],
    *,
    query_sides: Sequence[str] | None = None,
    gallery_sides: Sequence[str] | None = None,
) -> IndividualScores:
    """Score every individual of the gallery for every query crop.

    score = (1 - w) * highest cosine + w * cosine to the centroid, with
    w = `CENTROID_WEIGHT`. Given both sides ("left", "right", "" or "unknown"), an
    individual is judged by its crops of the query's side (and of unknown side) where it
    has any, and by its other crops only where it has none.

    Args:
        query: (Q, D) unit norm.
        gallery: (G, D) unit norm.
        labels: (G,) individual of each gallery crop.
        query_sides: Q sides, or None to ignore sides.
        gallery_sides: G sides, or None to ignore sides.

    Returns:
        Scores of the C individuals in the gallery.

    Note:
        One matrix product and one pass over it for each side asked for.
    """
    order = np.argsort(labels, kind="stable")
    individuals, starts = np.unique(labels[order], return_index=True)
    shape = (len(query), len(individuals))
    if 0 in shape:
        return IndividualScores(
            individuals.astype(np.int64),
            np.empty(shape, np.float32),
            np.empty(shape, np.int64),
            np.empty(shape, np.float32),
        )

    if query_sides is None or gallery_sides is None:
        everything = np.ones(len(labels), bool)
        scores, best, cosine = _score(query, gallery, order, starts, everything)
        return IndividualScores(individuals.astype(np.int64), scores, best, cosine)

    scores = np.empty(shape, np.float32)
    best = np.empty(shape, np.int64)
    cosine = np.empty(shape, np.float32)
    sides = np.asarray(query_sides)
    in_gallery = np.asarray(gallery_sides)
    has_no_side = np.isin(in_gallery, list(UNKNOWN_SIDES))
    for side in np.unique(sides):
        rows = sides == side
        preferred = (in_gallery == side) | has_no_side
        if side in UNKNOWN_SIDES:
            preferred = np.ones(len(labels), bool)
        # Where an individual was never seen from this side, all its crops count.
        has_any = np.logical_or.reduceat(preferred[order], starts)
        preferred[order] |= np.repeat(~has_any, np.diff([*starts, len(order)]))
        scores[rows], best[rows], cosine[rows] = _score(
            query[rows], gallery, order, starts, preferred
        )
    return IndividualScores(individuals.astype(np.int64), scores, best, cosine)


def pool(scores: IndividualScores) -> NDArray[np.float32]:
    """Return one score per individual for the crops of one sighting: their mean, (C,).

    The mean of the crops' scores, not their maximum: with the maximum one bad crop
    that happens to resemble somebody would decide for all.
    """
    return np.asarray(scores.scores.mean(axis=0), np.float32)


def rank_sighting(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    labels: NDArray[np.integer],
    *,
    query_sides: Sequence[str] | None = None,
    gallery_sides: Sequence[str] | None = None,
    top: int | None = None,
) -> list[Candidate]:
    """Return the individuals that a sighting's crops look like, best first.

    Args:
        query: (Q, D) all crops of one animal in one encounter, unit norm; Q >= 1.
        gallery: (G, D) unit norm.
        labels: (G,) individual of each gallery crop.
        query_sides: Q sides, or None to ignore sides.
        gallery_sides: G sides, or None to ignore sides.
        top: how many at most; None for all (calibration wants all).

    Returns:
        Candidates; empty when the gallery is.
    """
    found = rank_individuals(
        query,
        gallery,
        labels,
        query_sides=query_sides,
        gallery_sides=gallery_sides,
    )
    if len(found.labels) == 0 or len(found) == 0:
        return []
    pooled = pool(found)
    nearest_query = found.best_similarity.argmax(axis=0)  # (C,)
    return [
        Candidate(
            label=int(found.labels[c]),
            similarity=float(pooled[c]),
            best_match=int(found.best_match[nearest_query[c], c]),
            best_query=int(nearest_query[c]),
        )
        for c in np.argsort(-pooled, kind="stable")[:top]
    ]


def group_sightings(
    embeddings: NDArray[np.float32],
    photo_ids: Sequence[int],
    threshold: float = DEFAULT_GROUP_THRESHOLD,
) -> NDArray[np.int64]:
    """Group an encounter's crops into animals.

    Average-linkage agglomeration: the two groups with the highest mean cosine are
    joined until it falls below the threshold. Two crops of one photo are two animals.

    Args:
        embeddings: (N, D) unit norm.
        photo_ids: N photos the crops are from.
        threshold: lowest mean cosine at which groups are joined.

    Returns:
        (N,) group of each crop, numbered by first appearance from 0.

    Note:
        Time grows with N cubed in the worst case, memory with N squared: meant for
        the crops of one encounter.
    """
    n = len(embeddings)
    group = np.arange(n)
    if n == 0:
        return group.astype(np.int64)
    photos = np.asarray(photo_ids)
    total = (embeddings @ embeddings.T).astype(np.float64)  # sums of cosines
    size = np.ones(n)
    mean = total.copy()
    mean[photos[:, None] == photos[None, :]] = -np.inf  # also the diagonal

    while True:
        a, b = divmod(int(mean.argmax()), n)
        if mean[a, b] < threshold:
            break
        a, b = min(a, b), max(a, b)
        cannot_link = np.isneginf(mean[a]) | np.isneginf(mean[b])
        total[a] += total[b]
        total[:, a] = total[a]
        size[a] += size[b]
        mean[a] = np.where(cannot_link, -np.inf, total[a] / (size[a] * size))
        mean[:, a] = mean[a]
        mean[b] = mean[:, b] = -np.inf
        group[group == b] = a
    # The lowest index names a group, so sorting the names is order of appearance.
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _score(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    order: NDArray[np.integer],
    starts: NDArray[np.integer],
    counts_in: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Return mixed scores, nearest gallery crops and their cosines, each (Q, C)."""
    if not np.array_equal(order, np.arange(len(order))):
        gallery = gallery[order]  # a copy; galleries kept by individual need none
    similarity = query @ gallery.T  # (Q, G), grouped by individual
    allowed = counts_in[order]
    if not allowed.all():
        gallery = gallery * allowed[:, None]
        # The cosine to a centroid is the sum of the cosines over the centroid's norm.
        sums = np.add.reduceat(similarity * allowed, starts, axis=1)
        similarity[:, ~allowed] = -np.inf
    else:
        sums = np.add.reduceat(similarity, starts, axis=1)
    norms = np.linalg.norm(np.add.reduceat(gallery, starts, axis=0), axis=1)
    highest = np.maximum.reduceat(similarity, starts, axis=1)

    # Each individual's first crop that reaches its highest cosine.
    owner = np.repeat(np.arange(len(starts)), np.diff([*starts, len(order)]))
    rows, columns = np.nonzero(similarity == highest[:, owner])
    first = np.empty(highest.shape, np.int64)
    first[rows[::-1], owner[columns[::-1]]] = columns[::-1]
    mixed = (1 - CENTROID_WEIGHT) * highest + CENTROID_WEIGHT * sums / np.maximum(
        norms, 1e-12
    )
    return mixed.astype(np.float32), order[first].astype(np.int64), highest
