"""The detector: first stages of EfficientNet-Lite0, a feature pyramid, one shared head."""

from __future__ import annotations

from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finwave.ml.pretrained import build_backbone

STRIDES = (8, 16, 32)
BACKBONE = "tf_efficientnet_lite0"
# The last stages of the backbone are for telling a thousand classes apart; without
# them the file is half the size.
N_STAGES, N_LAST_BLOCKS = 6, 2
CHANNELS = (40, 112, 192)
WIDTH = 64
# A head that starts by calling one anchor in a hundred a fin does not drown the first
# steps in negatives (Lin et al. 2017, Focal Loss, section 4.1).
PRIOR = 0.01


class SeparableConv(nn.Sequential):
    """Depthwise 5 x 5, then pointwise, each normalised."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(inplace=True),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(inplace=True),
        )


class FinDetector(nn.Module):
    """Anchor-free detector of one class with the output layout of YOLOv8.

    Features: EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; ImageNet weights,
    Apache-2.0). Neck: feature pyramid (Lin et al. 2017, arXiv:1612.03144) with a way
    back up (Liu et al. 2018, PANet, arXiv:1803.01534). Head: distances from a point to
    the four sides (Tian et al. 2019, FCOS, arXiv:1904.01355), shared by all levels.
    """

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        backbone, self.note = build_backbone(
            BACKBONE, image_size_px=224, pretrained=pretrained, pooled=False
        )
        blocks = list(cast("nn.Sequential", backbone.blocks))[:N_STAGES]
        blocks[-1] = nn.Sequential(
            *list(cast("nn.Sequential", blocks[-1]))[:N_LAST_BLOCKS]
        )
        stem = nn.Sequential(
            cast("nn.Module", backbone.conv_stem), cast("nn.Module", backbone.bn1)
        )
        # Edges and blobs, at the finest and costliest resolutions: kept as ImageNet
        # taught them, which halves the time of a training step.
        self.fixed = nn.Sequential(stem, *blocks[:2]).requires_grad_(False)
        self.to_8 = blocks[2]
        self.to_16 = nn.Sequential(*blocks[3:5])
        self.to_32 = nn.Sequential(*blocks[5:])
        for part in (self.fixed, self.to_8, self.to_16, self.to_32):
            pad_explicitly(part)

        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in CHANNELS)
        self.down_the_pyramid = nn.ModuleList(SeparableConv(WIDTH) for _ in range(2))
        self.up_the_pyramid = nn.ModuleList(SeparableConv(WIDTH) for _ in range(2))
        self.score_tower = nn.Sequential(SeparableConv(WIDTH), SeparableConv(WIDTH))
        self.box_tower = nn.Sequential(SeparableConv(WIDTH), SeparableConv(WIDTH))
        self.score = nn.Conv2d(WIDTH, 1, 1)
        self.box = nn.Conv2d(WIDTH, 4, 1)
        self.box_scale = nn.Parameter(torch.ones(len(STRIDES)))
        nn.init.constant_(cast("Tensor", self.score.bias), -4.595)  # logit of PRIOR
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.constant_(cast("Tensor", self.box.bias), 1.0)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.fixed.eval()
        return self

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the pyramid's features, finest first: (B, WIDTH, H/s, W/s) each."""
        c8 = self.to_8(self.fixed(images * 2 - 1))
        c16 = self.to_16(c8)
        c32 = self.to_32(c16)
        p8, p16, p32 = (m(c) for m, c in zip(self.lateral, (c8, c16, c32), strict=True))
        p16 = self.down_the_pyramid[0](p16 + F.interpolate(p32, scale_factor=2.0))
        p8 = self.down_the_pyramid[1](p8 + F.interpolate(p16, scale_factor=2.0))
        p16 = self.up_the_pyramid[0](p16 + F.max_pool2d(p8, 2))
        p32 = self.up_the_pyramid[1](p32 + F.max_pool2d(p16, 2))
        return [p8, p16, p32]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return raw predictions at every anchor point.

        Args:
            images: (B, 3, H, W) float32 RGB in [0, 1], H and W multiples of 32.

        Returns:
            Scores as logits (B, A); boxes (B, A, 4) x1, y1, x2, y2 in input pixels;
            points (A, 2) x, y in input pixels; strides (A,).
        """
        scores, boxes, points, strides = [], [], [], []
        for i, (feature, stride) in enumerate(
            zip(self.levels(images), STRIDES, strict=True)
        ):
            scores.append(self.score(self.score_tower(feature)).flatten(1))
            raw = self.box(self.box_tower(feature)) * self.box_scale[i]
            # Exponential, so that distances are positive; bounded for half precision.
            reach = torch.exp(torch.clamp(raw, max=6.0)) * stride
            grid = points_of(feature, stride)
            reach = reach.flatten(2).transpose(1, 2)  # (B, A, 4)
            boxes.append(torch.cat([grid - reach[..., :2], grid + reach[..., 2:]], -1))
            points.append(grid)
            strides.append(grid.new_full(grid.shape[:1], stride))
        return (
            torch.cat(scores, 1),
            torch.cat(boxes, 1),
            torch.cat(points),
            torch.cat(strides),
        )


def points_of(feature: Tensor, stride: int) -> Tensor:
    """Return the centres of a feature map's cells, (H * W, 2), in input pixels."""
    height, width = feature.shape[-2:]
    y = torch.arange(height, device=feature.device, dtype=feature.dtype)
    x = torch.arange(width, device=feature.device, dtype=feature.dtype)
    grid_y = y[:, None].expand(height, width)
    grid_x = x[None, :].expand(height, width)
    return (torch.stack([grid_x, grid_y], -1).reshape(-1, 2) + 0.5) * stride


def pad_explicitly(module: nn.Module) -> None:
    """Replace TensorFlow's size-dependent padding by its value for even sizes, in place.

    With sides that are multiples of 32 the two agree; only the fixed one exports to a
    graph of any size.
    """
    for name, child in module.named_children():
        if type(child).__name__ == "Conv2dSame":
            conv = cast("nn.Conv2d", child)
            total = conv.kernel_size[0] - conv.stride[0]
            before, after = total // 2, total - total // 2
            conv.__class__ = nn.Conv2d  # its own forward, which pads nothing
            conv.padding = (0, 0)
            conv._reversed_padding_repeated_twice = [0, 0, 0, 0]
            setattr(
                module,
                name,
                nn.Sequential(nn.ZeroPad2d((before, after, before, after)), conv),
            )
        else:
            pad_explicitly(child)


class Exported(nn.Module):
    """The detector with decoding inside: what the ONNX file computes."""

    def __init__(self, detector: FinDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 5, A): centre x, centre y, width, height, confidence."""
        scores, boxes, _points, _strides = self.detector(images)
        low, high = boxes[..., :2], boxes[..., 2:]
        centre, size = (low + high) / 2, high - low
        confidence = scores.sigmoid()[..., None]
        return torch.cat([centre, size, confidence], -1).transpose(1, 2)
