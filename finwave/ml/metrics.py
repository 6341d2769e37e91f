"""Figures of retrieval, of known-or-new decisions and of calibration. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RetrievalMetrics:
    """How well queries find their own individual in a gallery. NaN without queries."""

    n_queries: int  # queries whose individual is in the gallery
    top1: float  # CMC@1
    top5: float  # CMC@5
    mean_average_precision: float


@dataclass(frozen=True, slots=True)
class KnownUnknownMetrics:
    """How well "known" is told from "new". NaN where one kind is missing."""

    known_recall: float  # known queries called known
    unknown_recall: float  # new queries called new
    balanced_accuracy: float  # mean of the two


def individual_cmc(
    scores: NDArray[np.floating], truth: NDArray[np.integer], k: int
) -> float:
    """Share of queries whose own individual is among the k best scored.

    Args:
        scores: (Q, C) one score per query and individual; higher is better,
            -inf for individuals that must not be answered.
        truth: (Q,) column of the right individual.
        k: how many answers count.

    Returns:
        CMC@k in [0, 1]; NaN without queries. A tie counts against the query.

    Example:
        >>> individual_cmc(np.array([[0.9, 0.1], [0.8, 0.3]]), np.array([0, 1]), 1)
        0.5
    """
    if len(scores) == 0:
        return float("nan")
    return float(np.mean(_ranks(scores, truth) < k))


def retrieval_metrics(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_labels: NDArray[np.integer],
    gallery_labels: NDArray[np.integer],
) -> RetrievalMetrics:
    """Return CMC@1, CMC@5 and mAP of image-to-image retrieval by cosine.

    CMC@k is the share of queries with a crop of their own individual among the k
    nearest gallery crops. Average precision of one query with relevant ranks
    r_1 < r_2 < … is mean_i(i / r_i); mAP is its mean over queries.

    Args:
        query: (Q, D) unit norm.
        gallery: (G, D) unit norm; must not hold crops of the queries' encounters.
        query_labels: (Q,) individuals.
        gallery_labels: (G,) individuals.

    Returns:
        The figures over queries whose individual is in the gallery at all.

    Reference:
        Zheng et al. 2015, "Scalable Person Re-identification: A Benchmark", sec. 3.3.

    Example:
        >>> eye = np.eye(2, dtype=np.float32)
        >>> m = retrieval_metrics(eye, eye, np.array([0, 1]), np.array([0, 1]))
        >>> (m.top1, m.mean_average_precision)
        (1.0, 1.0)
    """
    answerable = np.isin(query_labels, gallery_labels)
    query, query_labels = query[answerable], query_labels[answerable]
    if len(query) == 0:
        return RetrievalMetrics(0, float("nan"), float("nan"), float("nan"))

    order = np.argsort(-(query @ gallery.T), axis=1, kind="stable")  # (Q, G)
    is_right = gallery_labels[order] == query_labels[:, None]
    n_right_so_far = np.cumsum(is_right, axis=1)
    precision = n_right_so_far / np.arange(1, is_right.shape[1] + 1)
    average_precision = (precision * is_right).sum(axis=1) / is_right.sum(axis=1)
    return RetrievalMetrics(
        n_queries=len(query),
        top1=float(is_right[:, 0].mean()),
        top5=float(is_right[:, :5].any(axis=1).mean()),
        mean_average_precision=float(average_precision.mean()),
    )


def known_unknown_metrics(
    probability_new: NDArray[np.floating],
    is_new: NDArray[np.bool_],
    *,
    threshold: float = 0.5,
) -> KnownUnknownMetrics:
    """Return the recalls of known and new queries, and their mean.

    Args:
        probability_new: (Q,) in [0, 1].
        is_new: (Q,) truth.
        threshold: called new above it.

    Returns:
        The figures; NaN for a kind without queries, and for the mean then.

    Example:
        >>> p, truth = np.array([0.1, 0.7, 0.9]), np.array([False, False, True])
        >>> known_unknown_metrics(p, truth).balanced_accuracy
        0.75
    """
    called_new = probability_new > threshold
    n_new, n_known = int(is_new.sum()), int((~is_new).sum())
    known = float((~called_new[~is_new]).mean()) if n_known else float("nan")
    unknown = float(called_new[is_new].mean()) if n_new else float("nan")
    return KnownUnknownMetrics(known, unknown, (known + unknown) / 2)


def expected_calibration_error(
    confidence: NDArray[np.floating], is_right: NDArray[np.bool_], *, n_bins: int = 10
) -> float:
    """Return the mean gap between stated confidence and measured accuracy.

    ECE = sum_b (n_b / n) * |accuracy_b - confidence_b| over bins of equal width.

    Args:
        confidence: (Q,) stated probability of the answer given, in [0, 1].
        is_right: (Q,) whether that answer was right.
        n_bins: bins over [0, 1].

    Returns:
        The error in [0, 1]; NaN without queries.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.

    Example:
        >>> expected_calibration_error(np.array([0.75] * 4), np.array([1, 1, 1, 0]) > 0)
        0.0
    """
    if len(confidence) == 0:
        return float("nan")
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(bins, weights=confidence - is_right, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


def bootstrap_interval(
    values: NDArray[np.floating],
    groups: NDArray[np.integer],
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean, resampling whole groups.

    Args:
        values: (Q,) one figure a query, such as right = 1.
        groups: (Q,) encounter of each query; queries of one encounter are no
            independent evidence.
        rng: source of the resamples.
        n_resamples: how many.

    Returns:
        (low, high); NaN without values.
    """
    if len(values) == 0:
        return (float("nan"), float("nan"))
    _, group = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    drawn = rng.integers(len(sums), size=(n_resamples, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return (float(low), float(high))


def _ranks(
    scores: NDArray[np.floating], truth: NDArray[np.integer]
) -> NDArray[np.int64]:
    own = scores[np.arange(len(scores)), truth]
    n_better_or_equal = (scores >= own[:, None]).sum(axis=1) - 1
    # A query whose own individual may not be answered is never right.
    n_better_or_equal[np.isneginf(own)] = scores.shape[1]
    return np.asarray(n_better_or_equal, np.int64)
