"""The network that turns crops into embeddings: backbone, pooling, neck."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finwave.ml.config import Pooling
from finwave.ml.errors import TrainingError
from finwave.ml.pretrained import build_backbone

# Depthwise networks get slower with bf16 on a CPU, these about twice as fast.
BF16_FASTER_ON_CPU = ("resnet", "resnext", "convnext", "vit_", "swin", "deit", "beit")


class GeM(nn.Module):
    """Generalised-mean pooling of a feature map, with a learnt exponent.

    Reference:
        Radenović et al. 2018, "Fine-tuning CNN Image Retrieval with No Human
        Annotation", eq. 3.
    """

    def __init__(self, exponent: float = 3.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.epsilon = epsilon

    def forward(self, features: Tensor) -> Tensor:
        """Pool (B, positions, C) to (B, C)."""
        powers = features.clamp(min=self.epsilon).pow(self.exponent)
        return powers.mean(dim=1).pow(1.0 / self.exponent)


class EmbeddingModel(nn.Module):
    """A timm backbone with a neck: images to unit-norm embeddings.

    Args:
        architecture: any timm model name.
        image_size_px: side of the square input.
        embedding_size: D.
        pooling: "avg" is the architecture's own pooling (the class token or the mean
            for transformers), "gem" the generalised mean of the last features.
        pretrained: start from the best weights at hand (see `pretrained`).
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size_px: int,
        embedding_size: int,
        pooling: Pooling = "avg",
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.start_weights_note = build_backbone(
            architecture,
            image_size_px=image_size_px,
            pretrained=pretrained,
            pooled=pooling == "avg",
        )
        self.architecture = architecture
        self.gem = GeM() if pooling == "gem" else None
        settings: dict[str, Any] = self.backbone.pretrained_cfg  # type: ignore[assignment]  # torch types every attribute as a module
        self.mean: tuple[float, ...] = tuple(settings["mean"])  # of pixels in [0, 1]
        self.std: tuple[float, ...] = tuple(settings["std"])
        self.embedding_size = embedding_size
        n_features = self._n_features(image_size_px)
        # BN-FC-BN as in ArcFace's "option E" (Deng et al. 2019, sec. 3.1), without
        # its dropout: the crops of one animal are few and the augmentation strong.
        self.neck = nn.Sequential(
            nn.BatchNorm1d(n_features),
            nn.Linear(n_features, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Embed (B, 3, S, S) normalised images: (B, D), unit norm, float32."""
        features = self._features(images)
        # The neck and the norm stay float32 under mixed precision: half the digits
        # would cost similarities their third decimal.
        with torch.autocast(images.device.type, enabled=False):
            return functional.normalize(self.neck(features.float()), dim=1)

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(images)
        if self.gem is None:
            return features  # (B, F)
        if features.ndim == 4:
            is_last = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"
            if not is_last:
                features = features.permute(0, 2, 3, 1)
            features = features.flatten(1, 2)
        else:
            n_extra = int(getattr(self.backbone, "num_prefix_tokens", 0))
            features = features[:, n_extra:]
        pooled: Tensor = self.gem(features.float())
        return pooled  # (B, positions, F) -> (B, F)

    def _n_features(self, image_size_px: int) -> int:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                probe = torch.zeros(1, 3, image_size_px, image_size_px)
                return self._features(probe).shape[1]
        except (RuntimeError, AssertionError, ValueError) as error:
            message = (
                f"The architecture {self.architecture} does not run at "
                f"{image_size_px} pixels: {str(error)[:200]}"
            )
            raise TrainingError(message) from error
        finally:
            self.train(was_training)


def uses_bf16(architecture: str, device: torch.device, mixed_precision: str) -> bool:
    """Return whether bf16 autocast is used: where it was measured to be faster."""
    if mixed_precision == "off":
        return False
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # torch says what a CPU can do only under this name.
    has_bf16 = bool(torch.cpu._is_avx512_bf16_supported())
    return has_bf16 and any(name in architecture for name in BF16_FASTER_ON_CPU)
