"""Which anchor point answers for which fin, and what it costs to answer badly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TOP_K = 10
# Alignment = score ** ALPHA * IoU ** BETA (Feng et al. 2021, TOOD, arXiv:2108.07755,
# equation 1; the values of its table 6).
ALPHA, BETA = 1.0, 6.0
BOX_WEIGHT = 2.0


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU of boxes that broadcast against each other.

    Reference: Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1.
    """
    low, high = (
        torch.maximum(a[..., :2], b[..., :2]),
        torch.minimum(a[..., 2:], b[..., 2:]),
    )
    overlap = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - overlap + 1e-7
    hull_low = torch.minimum(a[..., :2], b[..., :2])
    hull_high = torch.maximum(a[..., 2:], b[..., 2:])
    hull = (hull_high - hull_low).prod(-1) + 1e-7
    iou = overlap / union
    return iou, iou - (hull - union) / hull


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """Choose the points that answer for one image's fins, by task alignment.

    Args:
        scores: (A,) logits.
        boxes: (A, 4) predicted, pixels.
        points: (A, 2) pixels.
        strides: (A,).
        truth: (N, 4) boxes of the fins, pixels.

    Returns:
        For each point the fin it answers for, (A,) int64, -1 for none; and the score
        it should give, (A,) float32 in [0, 1].
    """
    n_points = len(points)
    fin_of = points.new_full((n_points,), -1, dtype=torch.long)
    target = torch.zeros_like(scores)
    if not len(truth):
        return fin_of, target
    inside = torch.minimum(
        (points[:, None] - truth[None, :, :2]).amin(-1),
        (truth[None, :, 2:] - points[:, None]).amin(-1),
    )  # (A, N)
    # A fin smaller than a cell still gets the points next to its centre.
    centre = (truth[:, :2] + truth[:, 2:]) / 2
    near = (points[:, None] - centre[None]).abs().amax(-1) < strides[:, None] * 0.75
    candidate = (inside > 0) | near
    iou, _ = iou_and_giou(boxes[:, None], truth[None])
    alignment = scores.sigmoid()[:, None] ** ALPHA * iou**BETA * candidate  # (A, N)
    # While nothing overlaps yet, closeness decides.
    far = (points[:, None] - centre[None]).square().sum(-1)
    size = (truth[:, 2:] - truth[:, :2]).prod(-1).clamp(min=1)
    alignment = alignment + 1e-9 * torch.exp(-far / size) * candidate
    values, top = alignment.topk(min(TOP_K, n_points), dim=0)
    chosen = torch.zeros_like(alignment, dtype=torch.bool)
    chosen.scatter_(0, top, values > 0)
    # A point chosen by two fins answers for the one that it overlaps most.
    best_iou = torch.where(chosen, iou + 1e-6, torch.zeros_like(iou))
    top_iou, fin = best_iou.max(1)
    is_positive = top_iou > 0
    fin_of[is_positive] = fin[is_positive]
    mine = torch.zeros_like(chosen)
    mine[is_positive, fin[is_positive]] = True
    kept = alignment * mine
    most = kept.amax(0).clamp(min=1e-12)
    reach = (iou * mine).amax(0)
    # The best point of each fin is asked for its IoU, the others for less (TOOD, 3.3).
    target = (kept / most * reach.clamp(min=0.05)).amax(1)
    return fin_of, target


def detection_loss(
    scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    truths: list[Tensor],
    *,
    focus: float = 2.0,
) -> tuple[Tensor, Tensor]:
    """Return score loss and box loss of a batch, each divided by the sum of targets.

    Scores: quality focal loss (Li et al. 2020, arXiv:2006.04388, equation 4; beta is
    `focus`, 2 in the paper). With 0 it is plain cross-entropy, slower to find fins but
    with far fewer weak false ones.
    Boxes: generalised IoU, weighted by the target.

    Args:
        scores: (B, A) logits.
        boxes: (B, A, 4).
        points: (A, 2).
        strides: (A,).
        truths: B tensors (N, 4).
    """
    fins, targets = [], []
    for i, truth in enumerate(truths):
        fin_of, target = assign(scores[i], boxes[i], points, strides, truth)
        fins.append(fin_of)
        targets.append(target)
    wanted = torch.stack(targets)
    total = wanted.sum().clamp(min=1.0)
    error = (wanted - scores.sigmoid()).detach().abs() ** focus
    score_loss = (
        F.binary_cross_entropy_with_logits(scores, wanted, reduction="none") * error
    ).sum()
    box_loss = boxes.new_zeros(())
    for i, truth in enumerate(truths):
        positive = fins[i] >= 0
        if positive.any():
            _, giou = iou_and_giou(boxes[i][positive], truth[fins[i][positive]])
            box_loss = box_loss + ((1 - giou) * targets[i][positive]).sum()
    return score_loss / total, BOX_WEIGHT * box_loss / total
