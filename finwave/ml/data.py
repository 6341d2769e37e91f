"""Crops in memory, decoded once; batches of augmented crops; near-duplicates."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from finwave.ml.images import ImageError, open_image
from finwave.ml.seed import rng_for
from finwave.ml.transforms import resize_square

# Kept a little larger than the network's input: a random crop of 0.8 to 1 of the area
# is then about one pixel for one, neither blurred nor aliased.
MARGIN = 1.15
IN_MEMORY_BYTES = 1 << 30  # beyond it, in an unnamed file that the system pages
NEAR_DUPLICATE_CORRELATION = 0.995

# Keys of the random generators, so that no two purposes share numbers.
ORDER, AUGMENTATION = 1, 2

# The augmentation of the published whale recipe (PRODUCT, section G), at strength 1.
MIN_AREA = 0.8  # of a random resized crop
MAX_ASPECT = 4 / 3
MAX_SHIFT = 0.0625  # of the side
MAX_SCALE = 0.1
MAX_ROTATION = math.radians(15)
MAX_HUE = math.radians(18)
MAX_SATURATION = 0.3
MAX_BRIGHTNESS = 0.2  # of the whole range
MAX_CONTRAST = 0.2
MAX_NOISE_SD = 0.05  # of the whole range; in half of the crops

# RGB to luma and two colour axes (NTSC's YIQ; ITU-R BT.601 luma).
RGB_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
)
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)


@dataclass(frozen=True, slots=True)
class CropStore:
    """All readable crops of a job, as uint8 squares."""

    kept: NDArray[np.int64]  # (N,) which of the given paths could be read
    roomy: NDArray[np.uint8]  # (N, R, R, 3) for training, R = MARGIN * S
    exact: NDArray[np.uint8]  # (N, S, S, 3) for evaluation, as in inference
    unreadable: tuple[tuple[int, str], ...]  # index of a path, and why


def load_crops(
    paths: Sequence[Path],
    *,
    image_size_px: int,
    folder: Path,
    threads: int,
    should_stop: Callable[[], bool],
) -> CropStore | None:
    """Decode every crop once, at both sizes.

    Args:
        paths: image files.
        image_size_px: S.
        folder: where an unnamed file may be put when memory would not do.
        threads: that decode.
        should_stop: asked now and then.

    Returns:
        The crops that could be read, or None when stopped.

    Note:
        About 0.1 MB a crop at 128 pixels.
    """
    roomy_px = round(MARGIN * image_size_px)
    roomy = _array((len(paths), roomy_px, roomy_px, 3), folder)
    exact = _array((len(paths), image_size_px, image_size_px, 3), folder)

    def load(i: int) -> str:
        try:
            image = open_image(paths[i])
        except (ImageError, OSError) as error:
            return str(error) or type(error).__name__
        roomy[i] = resize_square(image, roomy_px)
        exact[i] = resize_square(image, image_size_px)
        return ""

    reasons: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), 64):
            if should_stop():
                return None
            reasons += pool.map(load, range(start, min(start + 64, len(paths))))
    kept = np.array([i for i, reason in enumerate(reasons) if not reason], np.int64)
    unreadable = tuple((i, reason) for i, reason in enumerate(reasons) if reason)
    if unreadable:  # close the gaps, so that row and item number are the same
        for row, i in enumerate(kept):
            roomy[row], exact[row] = roomy[i], exact[i]
    return CropStore(kept, roomy[: len(kept)], exact[: len(kept)], unreadable)


def near_duplicates(images: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return pairs of crops that show the same picture.

    Two crops are near-duplicates when their luma at 16 x 16 pixels correlates above
    0.995: the same photo saved again, scaled or brightened, or its neighbour in a burst.

    Args:
        images: (N, S, S, 3) uint8.

    Returns:
        Pairs of indices, each with the lower first.

    Note:
        Compares all with all, in blocks: N squared times 256 operations.
    """
    size = images.shape[1]
    edges = np.linspace(0, size, min(16, size), endpoint=False).astype(int)
    sides = np.diff([*edges, size])
    area = np.outer(sides, sides)
    small = np.empty((len(images), len(edges) ** 2), np.float32)
    for start in range(0, len(images), 256):
        luma = images[start : start + 256] @ RGB_TO_YIQ[0].astype(np.float32)
        boxes = np.add.reduceat(np.add.reduceat(luma, edges, axis=1), edges, axis=2)
        small[start : start + 256] = (boxes / area).reshape(len(boxes), -1)
    small -= small.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(small, axis=1, keepdims=True)
    # A flat picture (contrast below one grey level) resembles nothing, itself included.
    small = np.where(norm < len(edges), 0.0, small / np.maximum(norm, 1e-6))
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(small), 1024):
        correlation = small[start : start + 1024] @ small.T
        rows, columns = np.nonzero(correlation > NEAR_DUPLICATE_CORRELATION)
        pairs += [
            (int(i), int(j))
            for i, j in zip(rows + start, columns, strict=True)
            if i < j
        ]
    return pairs


def epoch_batches(
    labels: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    balanced: bool,
) -> list[NDArray[np.int64]]:
    """Return the rows of each batch of an epoch; the same for the same arguments.

    Args:
        labels: (N,) class of each training crop.
        batch_size: crops in a batch. A last batch of one joins the one before it, for
            batch normalisation cannot learn from a single crop.
        seed: of the job.
        epoch: 1, 2, ...
        balanced: draw individuals evenly, then their crops in turn.

    Returns:
        Batches of indices into `labels`.
    """
    rng = rng_for(seed, ORDER, epoch)
    order = rng.permutation(len(labels))
    if balanced:
        order = _balanced(labels, order, rng)
    starts = list(range(batch_size, len(order), batch_size))
    if starts and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts)


def augmented(
    images: NDArray[np.uint8],
    *,
    keys: Sequence[tuple[int, ...]],
    image_size_px: int,
    strength: float,
    hflip: bool,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> Tensor:
    """Return a normalised, augmented batch, (B, 3, S, S) float32.

    All geometry is one resampling and all colour one matrix: a batch costs a few
    percent of a training step.

    Args:
        images: (B, R, R, 3) uint8.
        keys: B keys of random generators, (seed, AUGMENTATION, epoch, index).
        image_size_px: S.
        strength: 0 for none; 1 for the published recipe.
        hflip: mirror every other crop.
        mean: of pixels in [0, 1].
        std: of pixels in [0, 1].
        device: where the batch is made.
    """
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255.0
    generators = [np.random.default_rng(key) for key in keys]
    drawn = np.stack([rng.uniform(-1, 1, 16) for rng in generators])  # (B, 16)

    theta = torch.from_numpy(_geometry(drawn, strength, hflip)).to(device)
    shape = [len(images), 3, image_size_px, image_size_px]
    grid = functional.affine_grid(theta, shape, align_corners=False)
    pixels = functional.grid_sample(
        pixels, grid, padding_mode="reflection", align_corners=False
    )

    if strength > 0:
        gain, offset = _colour(drawn, strength, pixels.mean(dim=(1, 2, 3)))
        flat = torch.baddbmm(offset[:, :, None], gain, pixels.flatten(2))
        pixels = flat.view(shape)
        _add_noise(pixels, generators, drawn[:, 14], strength)
        pixels = pixels.clamp_(0.0, 1.0)

    shift = torch.tensor(mean, device=device)[:, None, None]
    scale = torch.tensor(std, device=device)[:, None, None]
    normalised = (pixels - shift) / scale
    return normalised.contiguous(memory_format=torch.channels_last)


def normalised(
    images: NDArray[np.uint8],
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> Tensor:
    """Return (B, S, S, 3) uint8 as the network reads it; equal to `transforms`.

    `tests/finwave/ml/test_transforms.py` holds the two together.
    """
    gain = torch.tensor([1.0 / (255.0 * s) for s in std], device=device)
    shift = torch.tensor(
        [-m / s for m, s in zip(mean, std, strict=True)], device=device
    )
    pixels = torch.from_numpy(images).to(device).float() * gain + shift
    return pixels.permute(0, 3, 1, 2)  # channels_last in memory already


def _array(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    if math.prod(shape) <= IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    # Unnamed: the system frees it when the process ends, however it ends.
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _balanced(
    labels: NDArray[np.int64], order: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return as many rows, individuals in turn and each one's crops in turn."""
    crops: dict[int, Iterator[int]] = {}
    by_class = {int(c): order[labels[order] == c] for c in np.unique(labels)}
    for c, rows in by_class.items():
        repeats = math.ceil(len(order) / len(rows))
        crops[c] = iter(np.tile(rows, repeats).tolist())
    drawn: list[int] = []
    while len(drawn) < len(order):
        drawn += [next(crops[int(c)]) for c in rng.permutation(list(crops))]
    return np.array(drawn[: len(order)], np.int64)


def _geometry(
    drawn: NDArray[np.float64], strength: float, hflip: bool
) -> NDArray[np.float32]:
    """Return (B, 2, 3) maps from output to input, both in [-1, 1]."""
    area = 1 - strength * (1 - MIN_AREA) * (drawn[:, 0] + 1) / 2
    aspect = np.exp(strength * math.log(MAX_ASPECT) * drawn[:, 1] / 2)
    width = np.minimum(np.sqrt(area * aspect), 1.0)
    height = np.minimum(np.sqrt(area / aspect), 1.0)
    # The window stays inside the crop; only the shift goes beyond its edge.
    x = (1 - width) * drawn[:, 2] + 2 * strength * MAX_SHIFT * drawn[:, 4]
    y = (1 - height) * drawn[:, 3] + 2 * strength * MAX_SHIFT * drawn[:, 5]
    zoom = 1 + strength * MAX_SCALE * drawn[:, 6]
    angle = strength * MAX_ROTATION * drawn[:, 7]
    mirror = np.where(hflip & (drawn[:, 8] > 0), -1.0, 1.0)
    cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
    rows = [
        [width * cosine * mirror, -width * sine, x],
        [height * sine * mirror, height * cosine, y],
    ]
    return np.array(rows, np.float32).transpose(2, 0, 1)


def _colour(
    drawn: NDArray[np.float64], strength: float, brightness: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (B, 3, 3) and (B, 3): hue, saturation, contrast, brightness in one."""
    hue = strength * MAX_HUE * drawn[:, 9]
    saturation = 1 + strength * MAX_SATURATION * drawn[:, 10]
    turn = np.zeros((len(drawn), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * np.cos(hue)
    turn[:, 1, 2], turn[:, 2, 1] = -saturation * np.sin(hue), saturation * np.sin(hue)
    contrast = 1 + strength * MAX_CONTRAST * drawn[:, 11]
    gain = contrast[:, None, None] * (YIQ_TO_RGB @ turn @ RGB_TO_YIQ)
    device = brightness.device
    lift = torch.tensor(
        strength * MAX_BRIGHTNESS * drawn[:, 12], dtype=torch.float32, device=device
    )
    keep = torch.tensor(1 - contrast, dtype=torch.float32, device=device)
    offset = (keep * brightness + lift)[:, None].expand(-1, 3)
    return torch.tensor(gain, dtype=torch.float32, device=device), offset


def _add_noise(
    pixels: Tensor,
    generators: Sequence[np.random.Generator],
    drawn: NDArray[np.float64],
    strength: float,
) -> None:
    for i, rng in enumerate(generators):
        sd = strength * MAX_NOISE_SD * drawn[i]
        if sd > 0:
            noise = rng.standard_normal(pixels.shape[1:], np.float32)
            pixels[i].add_(torch.from_numpy(noise).to(pixels.device), alpha=sd)
