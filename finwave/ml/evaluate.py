"""Embed crops and measure how well held-out ones find their individual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from finwave.ml import calibration
from finwave.ml.data import normalised
from finwave.ml.gallery import rank_individuals
from finwave.ml.losses import ArcFace
from finwave.ml.metrics import RetrievalMetrics, retrieval_metrics
from finwave.ml.model import EmbeddingModel

EVALUATION_BATCH = 32


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the validation crops say about the model."""

    loss: float  # ArcFace loss, margin included, of the validation crops
    metrics: RetrievalMetrics
    is_right: NDArray[np.bool_]  # (Q,) whether the nearest training crop is the same
    nearest: NDArray[np.int64]  # (Q,) row of that training crop
    similarity: NDArray[np.float32]  # (Q,) its cosine
    query: NDArray[np.float32]  # (Q, D)
    gallery: NDArray[np.float32]  # (G, D)


def embed(
    model: EmbeddingModel,
    images: NDArray[np.uint8],
    *,
    device: torch.device,
    bf16: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float32] | None:
    """Return the embeddings of crops, (N, D) unit norm; None when stopped.

    Args:
        model: left in evaluation mode.
        images: (N, S, S, 3) uint8, as `transforms.resize_square` makes them.
        device: where the model is.
        bf16: autocast, as in training.
        should_stop: asked before each batch.
    """
    model.eval()
    rows: list[NDArray[np.float32]] = []
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        for start in range(0, len(images), EVALUATION_BATCH):
            if should_stop():
                return None
            batch = images[start : start + EVALUATION_BATCH]
            inputs = normalised(batch, mean=model.mean, std=model.std, device=device)
            rows.append(model(inputs).cpu().numpy())
    if not rows:
        return np.empty((0, model.embedding_size), np.float32)
    return np.concatenate(rows)


def evaluate(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    head: ArcFace,
) -> Evaluation:
    """Measure validation crops against the training crops.

    The split keeps encounters whole, so the gallery holds other encounters only.

    Args:
        query: (Q, D) embeddings of the validation crops; Q >= 1.
        gallery: (G, D) embeddings of the training crops.
        query_labels: (Q,) classes.
        gallery_labels: (G,) classes.
        head: for the loss.
    """
    device = head.weight.device
    with torch.inference_mode():
        loss = head(
            torch.from_numpy(query).to(device),
            torch.from_numpy(query_labels).to(device),
        )
    similarity = query @ gallery.T
    nearest = similarity.argmax(axis=1)
    return Evaluation(
        loss=float(loss),
        metrics=retrieval_metrics(query, gallery, query_labels, gallery_labels),
        is_right=gallery_labels[nearest] == query_labels,
        nearest=nearest.astype(np.int64),
        similarity=similarity[np.arange(len(query)), nearest],
        query=query,
        gallery=gallery,
    )


def calibrate(
    evaluation: Evaluation,
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    *,
    query_sides: Sequence[str],
    gallery_sides: Sequence[str],
    query_groups: NDArray[np.int64],
) -> dict[str, float | int]:
    """Return the calibration as JSON; `{}` when there is too little to fit it.

    Args:
        evaluation: of the model that is calibrated.
        query_labels: (Q,) classes.
        gallery_labels: (G,) classes.
        query_sides: Q sides.
        gallery_sides: G sides.
        query_groups: (Q,) encounters, for the folds.
    """
    scores = rank_individuals(
        evaluation.query,
        evaluation.gallery,
        gallery_labels,
        query_sides=query_sides,
        gallery_sides=gallery_sides,
    )
    fitted = calibration.fit(
        scores.scores,
        np.searchsorted(scores.labels, query_labels),
        query_groups,
        group_threshold=calibration.fit_group_threshold(evaluation.query, query_labels),
    )
    return {} if fitted is None else fitted.to_json()
