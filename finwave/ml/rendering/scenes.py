"""One rendered photo: a sea, fins on it, what disturbs, and the camera."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from finwave.ml.rendering import fins as fin_drawing
from finwave.ml.rendering.conditions import Conditions
from finwave.ml.rendering.distractors import add_distractor
from finwave.ml.rendering.fins import FinShape
from finwave.ml.rendering.sea import Sea, foam_tile, render_sea

Floats: TypeAlias = NDArray[np.float32]

# A fin of which less is left above the water or inside the frame is not counted.
LEAST_HEIGHT_PX = 9.0
LEAST_SHARE = 0.35
DESCRIPTION = "Rendered by finwave: not a photograph"


class Scene(NamedTuple):
    """A picture and the truth about it; `ids` are the places in the given list."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    boxes_xyxy: Floats  # (N, 4) pixels, half-open
    ids: NDArray[np.int64]  # (N,)


class Pose(NamedTuple):
    """How an animal lies in the water of one photo."""

    x: float  # of the fin's foot, pixels
    y: float  # of the waterline there
    height_px: float
    rotation: float  # radians, nose up positive
    yaw: float  # how much of the width is seen, 1 = broadside
    sunk: float  # waterline above the foot, in fin heights; negative shows the back


def render_scene(
    fins: Sequence[FinShape], rng: np.random.Generator, conditions: Conditions
) -> Scene:
    """Return a photo of these animals, with the boxes of the fins that can be seen."""
    sea = render_sea(conditions, rng)
    image = Image.fromarray(sea.image)
    for _ in range(conditions.n_distractors):
        add_distractor(image, sea, conditions, rng)
    boxes, ids = [], []
    poses = sorted(
        enumerate(place_animals(len(fins), sea, conditions, rng)), key=lambda p: p[1].y
    )
    for i, pose in poses:
        box = add_animal(image, fins[i], pose, conditions, rng)
        if box is not None:
            boxes.append(box)
            ids.append(i)
    pixels = develop(image, conditions, rng)
    return Scene(
        pixels,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(ids, np.int64),
    )


def place_animals(
    n: int, sea: Sea, conditions: Conditions, rng: np.random.Generator
) -> list[Pose]:
    """Choose where the animals are; they keep apart sideways."""
    height, width = sea.image.shape[:2]
    poses: list[Pose] = []
    for number in range(n):
        sunk = float(np.clip(rng.normal(-0.17, 0.15), -0.45, 0.3))
        is_focal = conditions.has_focal and number == 0
        is_behind = conditions.has_focal and number > 0
        for attempt in range(30):
            y = height * (np.clip(rng.normal(0.6, 0.13), 0.3, 0.92))
            y = max(y, sea.horizon_y + (height - sea.horizon_y) * 0.12)
            size = conditions.fin_height_px * rng.uniform(0.85, 1.15)
            size *= 1.5 if is_focal else 0.55 if is_behind else 1.0
            size = float(np.clip(size * min(sea.scale_at(y), 1.5), 16, height * 0.55))
            y = max(y, size * (1.15 - sunk))  # the whole fin in the frame
            x = width * (
                rng.uniform(0.1, 0.9)
                if n > 1 and not is_focal
                else np.clip(rng.normal(0.5, 0.18), 0.08, 0.92)
            )
            if attempt == 29 or all(
                abs(x - p.x) > 0.75 * (size + p.height_px) for p in poses
            ):
                break
        poses.append(
            Pose(
                x=float(x),
                y=float(y),
                height_px=size,
                rotation=float(rng.normal(0.0, 0.11)),
                yaw=float(np.cos(np.clip(rng.normal(0, 0.38), -0.9, 0.9))),
                sunk=sunk,
            )
        )
    return poses


def add_animal(
    image: Image.Image,
    shape: FinShape,
    pose: Pose,
    conditions: Conditions,
    rng: np.random.Generator,
) -> Floats | None:
    """Draw one animal into the image; return the box of its fin, if it shows."""
    sprite, foot, matrix = posed_sprite(shape, pose, conditions)
    # The waterline lies `sunk` fin heights above the foot.
    origin = (foot[0], foot[1] - pose.sunk * pose.height_px)
    left, top = round(pose.x - origin[0]), round(pose.y - origin[1])
    shift = np.asarray([left, top])

    # Where the water cuts the animal: a wavy line, per column of the sprite.
    columns = np.arange(sprite.width, dtype=np.float32)
    line = np.full(sprite.width, origin[1], np.float32)
    for share in (0.9, 0.33, 0.12):
        length = pose.height_px * share * rng.uniform(2.0, 4.5)
        line += (
            np.sin(columns * 2 * np.pi / length + rng.uniform(0, 6.3))
            * pose.height_px
            * 0.02
            * (0.4 + share)
        )
    cut = np.clip(
        line[None] - np.arange(sprite.height, dtype=np.float32)[:, None], 0, 1
    )

    rgba = np.asarray(sprite, np.float32)
    lit = shade(rgba, line, pose, conditions, rng)
    alpha = rgba[..., 3] * cut
    add_reflection(image, lit, alpha, (left, top), line, conditions)
    drawn = Image.fromarray(np.dstack([lit, alpha]).astype(np.uint8))
    image.paste(drawn, (left, top), drawn)
    add_splash(image, alpha, (left, top), line, pose, conditions, rng)

    fin = shape.fin[shape.fin[:, 1] > fin_drawing.FOOT]
    points = fin * np.asarray([1, -1]) @ matrix.T + np.asarray(foot)
    at = np.clip(points[:, 0].astype(int), 0, sprite.width - 1)
    points = points[points[:, 1] < line[at]] + shift
    return visible_box(points, shape, pose, image.size)


def visible_box(
    points: NDArray[np.float64], shape: FinShape, pose: Pose, size_wh: tuple[int, int]
) -> Floats | None:
    """Return the box round the visible outline, or None if too little is left."""
    if len(points) < 8:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    inside_low = np.maximum(low, 0)
    inside_high = np.minimum(high, size_wh)
    size = inside_high - inside_low
    whole = (np.ptp(shape.fin[:, 0]) * pose.yaw * pose.height_px, pose.height_px)
    share = size.clip(0).prod() / (whole[0] * whole[1])
    if size.min() < LEAST_HEIGHT_PX or share < LEAST_SHARE:
        return None
    return np.concatenate([inside_low, inside_high]).astype(np.float32)


def posed_sprite(
    shape: FinShape, pose: Pose, conditions: Conditions
) -> tuple[Image.Image, tuple[float, float], NDArray[np.float64]]:
    """Return the flank at its final size and angle.

    Returns:
        the RGBA sprite; where in it the middle of the fin's foot is; the (2, 2)
        matrix from fin heights (y down) to sprite pixels.
    """
    texture = shape.texture(conditions.side)
    mirror = -1.0 if conditions.side == "right" else 1.0
    scale = pose.height_px / fin_drawing.UNIT
    size = (
        max(int(texture.width * scale * pose.yaw), 8),
        max(int(texture.height * scale), 8),
    )
    small = texture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    sx, sy = size[0] / texture.width, size[1] / texture.height
    if mirror < 0:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    foot_x = fin_drawing.ORIGIN[0] * sx
    foot_x = size[0] - foot_x if mirror < 0 else foot_x
    foot = (foot_x, fin_drawing.ORIGIN[1] * sy)
    angle = pose.rotation * mirror
    turned = small.rotate(np.degrees(angle), Image.Resampling.BICUBIC, center=foot)
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.asarray([[cos, sin], [-sin, cos]])
    stretch = np.diag([fin_drawing.UNIT * sx * mirror, fin_drawing.UNIT * sy])
    return turned, foot, rotate @ stretch


def shade(
    rgba: Floats,
    line: Floats,
    pose: Pose,
    conditions: Conditions,
    rng: np.random.Generator,
) -> Floats:
    """Return the animal's colours in this light: backlit, wet, darker at the water."""
    colours = conditions.colours
    light = np.asarray(colours.animal, np.float32) * (
        1.25 - 0.95 * conditions.backlight
    )
    above = (
        line[None] - np.arange(rgba.shape[0], dtype=np.float32)[:, None]
    ) / pose.height_px
    wet = 0.78 + 0.22 * np.clip(above * 5, 0, 1)
    # Light from one side: a soft ramp along the animal, either way.
    ramp = np.linspace(-1, 1, rgba.shape[1], dtype=np.float32)[None] * rng.uniform(
        -0.25, 0.25
    )
    lit = rgba[..., :3] * (light * (wet + ramp)[..., None])
    sky = np.asarray(colours.horizon, np.float32)
    mist = conditions.haze * 0.3 + 0.04
    return np.asarray(np.clip(lit + (sky - lit) * mist, 0, 255), np.float32)


def add_reflection(
    image: Image.Image,
    lit: Floats,
    alpha: Floats,
    corner: tuple[int, int],
    line: Floats,
    conditions: Conditions,
) -> None:
    """Draw the broken, darkened mirror image below the waterline."""
    level = int(line.mean())
    reach = min(level, int(alpha.shape[0] * 0.5))
    if reach < 4:
        return
    mirrored = np.dstack([lit, alpha])[level - reach : level][::-1]
    picture = Image.fromarray(mirrored.astype(np.uint8))
    picture = picture.resize((picture.width, max(int(reach * 0.75), 2)))
    # Waves break it into horizontal streaks: shift each row a little.
    rows = np.asarray(picture, np.float32)
    fade = np.linspace(0.62, 0.0, rows.shape[0], dtype=np.float32)[:, None]
    streaks = foam_tile()[: rows.shape[0] * 2 : 2, :128]
    strength = 1.0 - 2.6 * conditions.roughness
    broken = np.clip((streaks.mean(axis=1) - 0.38) * 4, 0.15, 1)
    if len(broken) < rows.shape[0]:
        broken = np.resize(broken, rows.shape[0])
    colour = (
        rows[..., :3] * 0.7 + np.asarray(conditions.colours.water, np.float32) * 0.3
    )
    soft = rows[..., 3] * fade * broken[:, None] * strength
    result = Image.fromarray(np.dstack([colour, soft]).astype(np.uint8))
    result = result.filter(ImageFilter.BoxBlur((3, 0)))
    image.paste(result, (corner[0], corner[1] + level), result)


def add_splash(
    image: Image.Image,
    alpha: Floats,
    corner: tuple[int, int],
    line: Floats,
    pose: Pose,
    conditions: Conditions,
    rng: np.random.Generator,
) -> None:
    """Draw foam and the bow wave where skin meets water."""
    reach = max(int(pose.height_px * 0.22), 3)
    base = line.astype(int)
    rows = np.clip(base - 2, 0, alpha.shape[0] - 1)
    touches = alpha[rows, np.arange(alpha.shape[1])] > 40
    if not touches.any():
        return
    first, last = np.flatnonzero(touches)[[0, -1]]
    columns = np.arange(max(first - reach, 0), min(last + reach, alpha.shape[1]))
    ends = np.minimum(columns - columns[0], columns[-1] - columns) / max(reach, 1)
    envelope = np.clip(ends, 0, 1)
    oy, ox = rng.integers(0, 512, 2)
    lace_scale = 60.0 / max(pose.height_px, 20)
    cx = ((columns * lace_scale).astype(int) + ox) & 511
    band = np.arange(-reach // 2, reach)
    cy = ((band * lace_scale * 2.2).astype(int) + oy) & 511
    lace = foam_tile()[cy[:, None], cx[None]]
    # Bubbles: the same lace again, finer than the sprite's scale would have it.
    fine = foam_tile()[(band[:, None] * 3 + oy) & 511, (columns[None] + ox) & 511]
    lace = lace * 0.7 + fine * 0.3
    across = 1 - np.abs(band / reach)[:, None] ** 0.8
    amount = rng.beta(1.1, 1.8)
    foam = np.clip(
        (lace + across * envelope[None] * 0.9 - 1.36 + 0.5 * amount) * 2.2, 0, 0.9
    )
    # One patch with its own offset per column, because the waterline is wavy.
    height = int(base.max() - base.min()) + len(band) + 2
    top = int(base.min() - reach // 2)
    patch = np.zeros((height, len(columns)), np.float32)
    at = (base[columns] + band[0] - top)[None] + np.arange(len(band))[:, None]
    inside = (at >= 0) & (at < height)
    where = np.broadcast_to(np.arange(len(columns))[None], at.shape)
    patch[at[inside], where[inside]] = foam[inside]
    white = np.asarray(conditions.colours.horizon, np.float32) * 0.35 + 158
    white = white * np.clip(np.asarray(conditions.colours.animal), 0.5, 1.05)
    rgba = np.empty((*patch.shape, 4), np.uint8)
    rgba[..., :3] = np.clip(white, 0, 255)
    rgba[..., 3] = patch * 255
    splash = Image.fromarray(rgba).filter(ImageFilter.BoxBlur(0.7))
    image.paste(splash, (corner[0] + int(columns[0]), corner[1] + top), splash)


def develop(
    image: Image.Image, conditions: Conditions, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the picture as the camera keeps it: blur, grain, vignette."""
    if conditions.blur_px > 0.3:
        image = image.filter(ImageFilter.BoxBlur(conditions.blur_px))
    if conditions.motion_px > 1:
        image = image.filter(ImageFilter.BoxBlur((conditions.motion_px / 2, 0.3)))
    pixels = np.asarray(image, np.float32)
    height, width = pixels.shape[:2]
    grain = grain_tile()
    oy, ox = rng.integers(0, 512, 2)
    grain = np.roll(grain, (oy, ox), (0, 1))
    grain = np.tile(grain, (height // 512 + 1, width // 512 + 1))[:height, :width]
    pixels = pixels + (grain * np.float32(conditions.noise))[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def grain_tile() -> Floats:
    return np.random.default_rng(3).standard_normal((512, 512), np.float32)


def jpeg_bytes(scene: Scene, conditions: Conditions, *, taken_at: str = "") -> bytes:
    """Return the picture as a JPEG whose EXIF says that it is rendered.

    Args:
        scene: what `render_scene` returned.
        conditions: for the JPEG quality.
        taken_at: EXIF date, "YYYY:MM:DD HH:MM:SS", or nothing.
    """
    exif = Image.Exif()
    exif[0x010E] = DESCRIPTION  # ImageDescription
    exif[0x0131] = "finwave rendering"  # Software
    if taken_at:
        exif[0x0132] = taken_at  # DateTime
        exif.get_ifd(0x8769)[0x9003] = taken_at  # DateTimeOriginal
    buffer = BytesIO()
    Image.fromarray(scene.image).save(
        buffer, "JPEG", quality=conditions.jpeg_quality, exif=exif
    )
    return buffer.getvalue()


def draw_boxes(scene: Scene) -> Image.Image:
    """Return the picture with its boxes drawn, for looking at."""
    image = Image.fromarray(scene.image)
    pen = ImageDraw.Draw(image)
    for box in scene.boxes_xyxy.tolist():
        pen.rectangle(box, outline=(255, 220, 0), width=2)
    return image
