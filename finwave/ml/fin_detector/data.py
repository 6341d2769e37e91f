"""Pictures to learn from: rendered scenes, pasted photographs, backgrounds, mosaics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from finwave.ml.rendering.conditions import Conditions
from finwave.ml.rendering.fins import FinShape, render_individual
from finwave.ml.rendering.scenes import grain_tile, render_scene

Floats: TypeAlias = NDArray[np.float32]
PictureArray: TypeAlias = NDArray[np.uint8]

# Individuals for training and for validation; the demo's own have seeds below 1000.
TRAINING_SEEDS = range(10_000, 10_120)
VALIDATION_SEEDS = range(20_000, 20_030)
N_FINS_SHARES = (0.3, 0.4, 0.18, 0.12)  # of scenes with 0, 1, 2, 3 fins
# A box that lost more than this to the edge of a crop is no fin any more.
LEAST_LEFT = 0.45


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and the boxes of its fins."""

    image: PictureArray  # (H, W, 3) RGB
    boxes_xyxy: Floats  # (N, 4)


def rendered_sample(
    index: int, fins: Sequence[FinShape], *, seed: int, size_wh: tuple[int, int]
) -> Sample:
    """Return the index-th scene of a series: the same seed, the same scene."""
    rng = np.random.default_rng((seed, index))
    conditions = Conditions.draw(rng).with_(
        width_px=size_wh[0],
        height_px=size_wh[1],
        # The whole range of sizes, not only the ones good for identification.
        fin_height_px=float(
            np.exp(rng.uniform(np.log(16), np.log(210))) * size_wh[1] / 640
        ),
        n_distractors=int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))),
    )
    n = int(rng.choice(4, p=N_FINS_SHARES))
    chosen = [fins[int(i)] for i in rng.choice(len(fins), n, replace=False)]
    scene = render_scene(chosen, rng, conditions)
    return Sample(scene.image, scene.boxes_xyxy)


def rendered_samples(
    n: int, seeds: range, *, seed: int, size_wh: tuple[int, int] = (640, 448)
) -> list[Sample]:
    fins = [render_individual(s) for s in seeds]
    return [rendered_sample(i, fins, seed=seed, size_wh=size_wh) for i in range(n)]


def photographed_fins(folder: Path) -> list[Sample]:
    """Return photographs of fins whose boxes were drawn for finwave."""
    boxes = json.loads(Path(__file__).with_name("fins_apache_boxes.json").read_text())
    samples = []
    for path in sorted(folder.rglob("*.jpg")):
        if path.name in boxes["boxes"]:
            image = np.asarray(Image.open(path).convert("RGB"))
            size = np.asarray([image.shape[1], image.shape[0]] * 2, np.float32)
            box = np.asarray(boxes["boxes"][path.name], np.float32) * size
            samples.append(Sample(image, box[None]))
    return samples


def backgrounds(folders: Sequence[Path], *, per_folder: int = 120) -> list[Sample]:
    """Return pictures without any fin, reduced to 640 pixels."""
    empty = np.zeros((0, 4), np.float32)
    samples = []
    for folder in folders:
        for path in sorted(folder.rglob("*.jpg"))[:per_folder]:
            image = Image.open(path).convert("RGB")
            image.thumbnail((640, 640))
            samples.append(Sample(np.asarray(image), empty))
    return samples


def resized(sample: Sample, scale_xy: tuple[float, float], *, mirror: bool) -> Sample:
    height, width = sample.image.shape[:2]
    size = (max(int(width * scale_xy[0]), 8), max(int(height * scale_xy[1]), 8))
    image = Image.fromarray(sample.image).resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    scale = np.asarray([size[0] / width, size[1] / height] * 2, np.float32)
    boxes = sample.boxes_xyxy * scale
    if mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        boxes = boxes[:, [2, 1, 0, 3]] * np.asarray([-1, 1, -1, 1], np.float32)
        boxes = boxes + np.asarray([size[0], 0, size[0], 0], np.float32)
    return Sample(np.asarray(image), boxes)


def cropped(sample: Sample, x: int, y: int, size_wh: tuple[int, int]) -> Sample:
    """Return a window of the picture, grey where it reaches beyond it."""
    width, height = size_wh
    canvas = np.full((height, width, 3), 114, np.uint8)
    source = sample.image[max(y, 0) : y + height, max(x, 0) : x + width]
    top, left = max(-y, 0), max(-x, 0)
    canvas[top : top + source.shape[0], left : left + source.shape[1]] = source
    boxes = sample.boxes_xyxy - np.asarray([x, y, x, y], np.float32)
    before = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    boxes = np.clip(boxes, 0, np.asarray([width, height] * 2, np.float32))
    size = boxes[:, 2:] - boxes[:, :2]
    keep = (size.prod(1) > LEAST_LEFT * before) & (size.min(1) >= 5)
    return Sample(canvas, boxes[keep])


def pasted(sample: Sample, fin: Sample, rng: np.random.Generator) -> Sample:
    """Return the scene with a photographed fin laid in, its edges faded."""
    height, width = sample.image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    patch = resized(
        fin, (scale, scale * rng.uniform(0.9, 1.1)), mirror=rng.random() < 0.5
    )
    patch_h, patch_w = patch.image.shape[:2]
    if patch_w >= width or patch_h >= height:
        return sample
    x, y = int(rng.integers(width - patch_w)), int(rng.integers(height - patch_h))
    box = patch.boxes_xyxy + np.asarray([x, y, x, y], np.float32)
    low = np.maximum(sample.boxes_xyxy[:, :2], [x, y])
    high = np.minimum(sample.boxes_xyxy[:, 2:], [x + patch_w, y + patch_h])
    if len(sample.boxes_xyxy) and ((high - low).min(1) > 0).any():
        return sample  # it would cover another fin
    mask = Image.new("L", (patch_w, patch_h))
    fade = max(int(min(patch_w, patch_h) * 0.07), 1)
    mask.paste(255, (fade, fade, patch_w - fade, patch_h - fade))
    # Fully shown within the fin's box, faded towards the patch's edge.
    mask = mask.filter(ImageFilter.BoxBlur(fade))
    # Sea to sea: the patch takes on the scene's mean colour, so that a change of
    # colour does not give the paste away.
    around = sample.image[y : y + patch_h, x : x + patch_w].mean((0, 1))
    border = np.concatenate(
        [patch.image[:fade].reshape(-1, 3), patch.image[-fade:].reshape(-1, 3)]
    )
    shift = (around - border.mean(0)) * rng.uniform(0.4, 1.0)
    image = Image.fromarray(sample.image)
    toned = np.clip(patch.image + shift, 0, 255).astype(np.uint8)
    image.paste(Image.fromarray(toned), (x, y), mask)
    return Sample(np.asarray(image), np.concatenate([sample.boxes_xyxy, box]))


def recoloured(image: PictureArray, rng: np.random.Generator) -> PictureArray:
    """Return the picture in other light: gain a channel, contrast, saturation, grey.

    All of it is one 3 x 3 matrix and an offset, which Pillow applies in one pass.
    """
    saturation = 0.0 if rng.random() < 0.12 else rng.uniform(0.4, 1.6)
    gain = rng.uniform(0.8, 1.2, 3) * rng.uniform(0.65, 1.4)
    contrast = rng.uniform(0.6, 1.5)
    grey = np.full((3, 3), 1 / 3)
    matrix = (grey + (np.eye(3) - grey) * saturation) * contrast * gain[:, None]
    mean = float(image[::8, ::8].mean())
    offset = gain * mean * (1 - contrast) + rng.uniform(-18, 18)
    rows = np.concatenate([matrix, offset[:, None]], axis=1)
    pixels = np.asarray(
        Image.fromarray(image).convert("RGB", tuple(rows.ravel().tolist()))
    )
    if rng.random() < 0.3:
        height, width = pixels.shape[:2]
        grain = grain_tile()[:height, :width] * np.float32(rng.uniform(2, 14))
        if grain.shape == (height, width):
            pixels = np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True, slots=True)
class Pool:
    """Everything that training draws from."""

    rendered: list[Sample]
    fins: list[Sample]
    empty: list[Sample]

    def pick(self, rng: np.random.Generator) -> Sample:
        draw = rng.random()
        if self.empty and draw < 0.14:
            return self.empty[rng.integers(len(self.empty))]
        if self.fins and draw < 0.26:
            return self.fins[rng.integers(len(self.fins))]
        sample = self.rendered[rng.integers(len(self.rendered))]
        if self.fins and draw < 0.5:
            return pasted(sample, self.fins[rng.integers(len(self.fins))], rng)
        return sample


def training_sample(pool: Pool, rng: np.random.Generator, size_px: int) -> Sample:
    """Return a square: one picture at some scale, or a mosaic of four.

    Mosaics put fins of four scales and lights into one picture (Bochkovskiy et al.
    2020, arXiv:2004.10934, section 3.3).
    """
    if rng.random() < 0.5:
        sample = pool.pick(rng)
        base = size_px / max(sample.image.shape[:2])
        scale = base * float(np.exp(rng.uniform(np.log(0.8), np.log(2.0))))
        result = _window(sample, scale, (size_px, size_px), rng)
    else:
        cut_x, cut_y = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size_px)
        image = np.empty((size_px, size_px, 3), np.uint8)
        boxes = []
        for x, width in ((0, cut_x), (cut_x, size_px - cut_x)):
            for y, height in ((0, cut_y), (cut_y, size_px - cut_y)):
                sample = pool.pick(rng)
                base = max(
                    width / sample.image.shape[1], height / sample.image.shape[0]
                )
                scale = base * float(np.exp(rng.uniform(np.log(0.9), np.log(1.9))))
                part = _window(sample, scale, (width, height), rng)
                image[y : y + height, x : x + width] = recoloured(part.image, rng)
                boxes.append(part.boxes_xyxy + np.asarray([x, y, x, y], np.float32))
        return Sample(image, np.concatenate(boxes))
    return Sample(recoloured(result.image, rng), result.boxes_xyxy)


def _window(
    sample: Sample, scale: float, size_wh: tuple[int, int], rng: np.random.Generator
) -> Sample:
    """Scale, stretch a little, mirror and cut out; often with a fin in view."""
    stretch = rng.uniform(0.88, 1.14)
    sample = resized(
        sample, (scale * stretch, scale / stretch), mirror=rng.random() < 0.5
    )
    height, width = sample.image.shape[:2]
    spare = (width - size_wh[0], height - size_wh[1])
    corner = [int(rng.uniform(min(s, 0), max(s, 0))) for s in spare]
    if len(sample.boxes_xyxy) and rng.random() < 0.7:
        box = sample.boxes_xyxy[rng.integers(len(sample.boxes_xyxy))]
        for axis in range(2):
            low = min(spare[axis], 0)
            centre = float(box[axis] + box[axis + 2]) / 2
            want = centre - size_wh[axis] * rng.uniform(0.15, 0.85)
            corner[axis] = int(np.clip(want, low, max(spare[axis], 0)))
    return cropped(sample, corner[0], corner[1], size_wh)
