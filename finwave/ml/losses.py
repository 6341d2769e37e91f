"""Losses that pull the crops of one individual together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ArcFace(nn.Module):
    """Additive angular margin softmax with cross-entropy.

    logit_j = scale * cos(theta_j), and scale * cos(theta_y + margin) for the own class,
    with theta the angle between the embedding and a learnt class centre.

    Beyond theta = pi - margin the cosine would rise again; there the logit goes on as
    cos(theta) - margin * sin(margin), as in the authors' code (insightface, MIT).

    Args:
        embedding_size: D.
        n_classes: C.
        margin: radians.
        scale: of the cosines.
        label_smoothing: share of the target spread over all classes.

    Reference:
        Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face
        Recognition", eq. 3.
    """

    def __init__(
        self,
        embedding_size: int,
        n_classes: int,
        *,
        margin: float,
        scale: float,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_classes, embedding_size))
        nn.init.xavier_normal_(self.weight)
        self.scale = scale
        self.label_smoothing = label_smoothing
        self.cos_margin, self.sin_margin = math.cos(margin), math.sin(margin)
        self.lowest_cosine = math.cos(math.pi - margin)
        self.beyond = margin * math.sin(margin)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss.

        Args:
            embeddings: (B, D) float32, unit norm.
            labels: (B,) int64 classes.

        Returns:
            A scalar.
        """
        centres = functional.normalize(self.weight, dim=1)
        cosine = functional.linear(embeddings, centres)  # (B, C)
        own = cosine.gather(1, labels[:, None])  # (B, 1)
        # The root's slope is infinite at one: a crop exactly on its centre would turn
        # every weight into not-a-number.
        sine = (1.0 - own.square()).clamp(min=1e-7).sqrt()
        with_margin = own * self.cos_margin - sine * self.sin_margin
        with_margin = torch.where(
            own > self.lowest_cosine, with_margin, own - self.beyond
        )
        logits = self.scale * cosine.scatter(1, labels[:, None], with_margin)
        return functional.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing
        )
