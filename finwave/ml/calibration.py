"""Turn similarities into probabilities that can be trusted. Numpy only.

The model is a multinomial logit with two parameters: candidate i has the weight
exp(slope * s_i + offset), "a new individual" has the weight 1, and a probability is a
weight over their sum. So the known are compared with each other *and* with nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from finwave.ml.metrics import expected_calibration_error, known_unknown_metrics

MIN_QUERIES = 20  # fewer say nothing about a probability
MIN_GROUPS = 4  # encounters or individuals that the queries are from
N_FOLDS = 5
# A weak prior keeps the fit finite where the data are perfectly separable: a slope of
# 10 means that 0.1 of cosine is a factor of e. It weighs as little as one query.
PRIOR = np.array([10.0, -5.0])
PRIOR_SD = np.array([10.0, 5.0])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted parameters, and what they reach on queries they were not fitted on."""

    slope: float
    offset: float
    n_queries: int  # validation queries; each asked twice (known, and as if new)
    expected_calibration_error: float  # cross-fitted
    balanced_accuracy: float  # of known against new, cross-fitted
    group_threshold: float  # cosine from which two crops are grouped as one animal
    n_groups: int = 0  # groups that cross-fitting kept apart; 0: individuals instead

    def to_json(self) -> dict[str, float | int]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> Self | None:
        """Return the calibration, or None for the `{}` of "not calibrated"."""
        if not data:
            return None
        counts = {name: int(data.get(name, 0)) for name in ("n_queries", "n_groups")}
        values = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        return cls(**{**values, **counts})  # type: ignore[arg-type]  # some are ints

    def probabilities(
        self, similarities: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | float]:
        """Return the probability of each candidate, and of a new individual.

        Args:
            similarities: (C,) or (Q, C) scores of *all* individuals in the gallery, as
                `finwave.ml.gallery` makes them; -inf excludes a candidate. C may be 0.

        Returns:
            Probabilities of the candidates, same shape; and of "new": a float for
            (C,), an array (Q,) for (Q, C). They add up to one.
        """
        is_one = similarities.ndim == 1
        rows = similarities[None] if is_one else similarities
        candidates, new = _probabilities(
            rows.astype(np.float64), np.array([self.slope, self.offset])
        )
        return (candidates[0], float(new[0])) if is_one else (candidates, new)


def fit(
    similarities: NDArray[np.floating],
    truth: NDArray[np.integer],
    groups: NDArray[np.integer],
    *,
    group_threshold: float,
) -> Calibration | None:
    """Fit the two parameters by maximum likelihood, and measure them by cross-fitting.

    Every query is asked twice: with its own individual in the gallery (truth: that
    individual) and without (truth: new).

    Args:
        similarities: (Q, C) scores of all individuals for each validation query.
        truth: (Q,) column of the right individual.
        groups: (Q,) what must not be on both sides of a fold, such as the encounter;
            where there are fewer than four, folds are made by individual.
        group_threshold: stored along; see `fit_group_threshold`.

    Returns:
        The calibration, or None when there are too few queries, groups or individuals
        to say anything.
    """
    finite = np.isfinite(similarities[np.arange(len(truth)), truth])
    similarities, truth, groups = similarities[finite], truth[finite], groups[finite]
    is_grouped = len(np.unique(groups)) >= MIN_GROUPS
    if not is_grouped:
        # A few large encounters cannot be folded; individuals can. That measures what is
        # said of unseen animals, not of unseen days, and is told apart by `n_groups`.
        groups = truth
    n_groups = len(np.unique(groups))
    n_individuals = len(np.unique(truth))
    if len(truth) < MIN_QUERIES or n_groups < MIN_GROUPS or n_individuals < 2:
        return None

    scores, answer = _closed_and_open(similarities.astype(np.float64), truth)
    group = np.tile(np.unique(groups, return_inverse=True)[1], 2)
    confidence = np.empty(len(answer))
    is_right = np.empty(len(answer), bool)
    probability_new = np.empty(len(answer))
    n_candidates = scores.shape[1]
    for fold in range(min(N_FOLDS, n_groups)):
        held_out = group % min(N_FOLDS, n_groups) == fold
        parameters = _fit(scores[~held_out], answer[~held_out])
        candidates, new = _probabilities(scores[held_out], parameters)
        every = np.column_stack([candidates, new])
        confidence[held_out] = every.max(axis=1)
        is_right[held_out] = every.argmax(axis=1) == answer[held_out]
        probability_new[held_out] = new

    slope, offset = _fit(scores, answer)
    known_unknown = known_unknown_metrics(probability_new, answer == n_candidates)
    return Calibration(
        slope=float(slope),
        offset=float(offset),
        n_queries=len(truth),
        expected_calibration_error=expected_calibration_error(confidence, is_right),
        balanced_accuracy=known_unknown.balanced_accuracy,
        group_threshold=group_threshold,
        n_groups=n_groups if is_grouped else 0,
    )


def fit_group_threshold(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.integer],
    *,
    false_joins: float = 0.01,
    default: float = 0.5,
) -> float:
    """Return the lowest cosine at which few pairs of different animals would join.

    Joining two animals hides one of them; splitting one costs a second confirmation.
    So the false joins are limited, and the rest follows.

    Args:
        embeddings: (N, D) unit norm, not trained on.
        labels: (N,) individuals.
        false_joins: accepted share of pairs of different individuals.
        default: the answer where there are fewer than a hundred such pairs.

    Returns:
        A cosine in [0, 0.95].
    """
    a, b = np.triu_indices(len(labels), k=1)
    is_different = labels[a] != labels[b]
    if is_different.sum() < 100:
        return default
    cosine = np.einsum("nd,nd->n", embeddings[a], embeddings[b])[is_different]
    return float(np.clip(np.quantile(cosine, 1 - false_joins), 0.0, 0.95))


def _closed_and_open(
    similarities: NDArray[np.float64], truth: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scores (2Q, C) and answers (2Q,); the answer C means a new individual."""
    n, n_candidates = similarities.shape
    rows = np.arange(n)
    without_own = similarities.copy()
    without_own[rows, truth] = -np.inf
    # The closed query loses somebody else, in turn: if it kept all, the number of
    # candidates alone would tell known from new, and the measurement would cheat.
    without_other = similarities.copy()
    without_other[
        rows, (truth + 1 + rows % (n_candidates - 1)) % n_candidates
    ] = -np.inf
    answer = np.concatenate([truth, np.full(n, n_candidates)]).astype(np.int64)
    return np.concatenate([without_other, without_own]), answer


def _probabilities(
    scores: NDArray[np.float64], parameters: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    utility = parameters[0] * scores + parameters[1]  # (Q, C)
    utility = np.where(np.isneginf(scores), -np.inf, utility)
    highest = np.max(utility, axis=1, initial=0.0, keepdims=True)  # 0: "new"
    weights = np.exp(utility - highest)
    weight_new = np.exp(-highest[:, 0])
    total = weights.sum(axis=1) + weight_new
    return weights / total[:, None], weight_new / total


def _fit(scores: NDArray[np.float64], answer: NDArray[np.int64]) -> NDArray[np.float64]:
    """Maximise the penalised log-likelihood, which is concave, by damped Newton."""
    n, n_candidates = scores.shape
    value = np.where(np.isneginf(scores), 0.0, scores)
    chosen = np.zeros((n, 2))
    is_known = answer < n_candidates
    chosen[is_known, 0] = value[np.flatnonzero(is_known), answer[is_known]]
    chosen[is_known, 1] = 1.0

    def objective(parameters: NDArray[np.float64]) -> float:
        candidates, new = _probabilities(scores, parameters)
        every = np.column_stack([candidates, new])
        likelihood = np.log(np.maximum(every[np.arange(n), answer], 1e-300)).sum()
        return float(likelihood - (((parameters - PRIOR) / PRIOR_SD) ** 2).sum() / 2)

    parameters = PRIOR.copy()
    reached = objective(parameters)
    for _ in range(100):
        candidates, _ = _probabilities(scores, parameters)
        mean = np.stack([(candidates * value).sum(1), candidates.sum(1)], axis=1)
        second = np.array(
            [
                [(candidates * value**2).sum(), (candidates * value).sum()],
                [(candidates * value).sum(), candidates.sum()],
            ]
        )
        gradient = (chosen - mean).sum(0) - (parameters - PRIOR) / PRIOR_SD**2
        curvature = second - mean.T @ mean + np.diag(PRIOR_SD**-2.0)
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > 1e-6 and objective(parameters + length * step) < reached:
            length /= 2
        parameters = parameters + length * step
        now = objective(parameters)
        if math.isclose(now, reached, rel_tol=1e-12, abs_tol=1e-12):
            break
        reached = now
    return parameters
