"""Things on the sea that are no fins: birds, boats, buoys, crests, drifting wood."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from finwave.ml.rendering.conditions import Conditions
from finwave.ml.rendering.sea import Sea

# Sprites are drawn at this factor and reduced, for smooth edges.
OVER = 3


def add_distractor(
    image: Image.Image, sea: Sea, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Draw one distractor of a random kind into the image, in place."""
    kind = rng.choice(5, p=(0.32, 0.16, 0.12, 0.26, 0.14))
    draw = (draw_bird, draw_boat, draw_buoy, draw_crest, draw_wood)[kind]
    if draw is draw_boat:
        y = sea.horizon_y + (image.height - sea.horizon_y) * rng.uniform(0.02, 0.5)
        size = rng.uniform(120, 460) * sea.scale_at(y)
    else:
        y = rng.uniform(max(sea.horizon_y + 12, 20), image.height * 0.95)
        size = (
            conditions.fin_height_px
            * rng.uniform(0.35, 1.1)
            * min(sea.scale_at(y), 1.4)
        )
    size = float(np.clip(size, 10, image.height * 0.4))
    y = max(y, min(size * 1.7, image.height * 0.7))  # not cut off by the frame's top
    sprite = Image.new("RGBA", (int(size * 3) * OVER, int(size * 2.2) * OVER))
    draw(ImageDraw.Draw(sprite), size * OVER, rng)
    sprite = sprite.resize((int(size * 3), int(size * 2.2)), Image.Resampling.BOX)
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lit = lit_sprite(sprite, conditions)
    is_flying = draw is draw_bird and rng.random() < 0.35
    x = int(rng.uniform(-0.3, 0.95) * image.width)
    top = int(y - sprite.height - (rng.uniform(0.4, 2.0) * size if is_flying else 0))
    image.paste(lit, (x, top), lit)
    if not is_flying:
        add_shadow(image, x, int(y), sprite, rng)


def lit_sprite(sprite: Image.Image, conditions: Conditions) -> Image.Image:
    rgba = np.asarray(sprite, np.float32).copy()
    shade = np.asarray(conditions.colours.animal) * (1 - 0.6 * conditions.backlight)
    rgba[..., :3] = np.clip(rgba[..., :3] * shade, 0, 255)
    return Image.fromarray(rgba.astype(np.uint8)).filter(ImageFilter.BoxBlur(0.5))


def add_shadow(
    image: Image.Image, x: int, y: int, sprite: Image.Image, rng: np.random.Generator
) -> None:
    """Darken the water below a floating thing: its broken mirror image."""
    alpha = sprite.getchannel("A").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    alpha = alpha.resize((alpha.width, max(alpha.height // 3, 1)))
    alpha = alpha.filter(ImageFilter.BoxBlur(2)).point(lambda a: a * 0.4)
    tint = tuple(int(v) for v in rng.integers(18, 46, 3))
    image.paste(Image.new("RGB", alpha.size, tint), (x, y), alpha)


def draw_bird(pen: ImageDraw.ImageDraw, size: float, rng: np.random.Generator) -> None:
    """A gull or a shag: body, neck and head, wings up or folded."""
    is_dark = rng.random() < 0.45
    body = (44, 42, 44) if is_dark else (226, 228, 230)
    wing = (34, 33, 36) if is_dark else (150, 156, 164)
    x, y, s = size * 1.4, size * 2.0, size * 0.55
    pen.ellipse([x - s, y - s * 0.6, x + s, y + s * 0.35], fill=body)
    pen.polygon(
        [(x + s * 0.7, y - s * 0.3), (x + s * 1.6, y - s * 0.5), (x + s * 0.6, y)],
        fill=wing,
    )
    neck = rng.uniform(0.5, 1.3)
    pen.line(
        [(x - s * 0.7, y - s * 0.2), (x - s * 0.95, y - s * neck)],
        fill=body,
        width=max(int(s * 0.34), 1),
    )
    hx, hy, r = x - s * 1.02, y - s * neck, s * 0.25
    pen.ellipse([hx - r, hy - r, hx + r, hy + r], fill=body)
    pen.polygon(
        [(hx - r, hy - r * 0.4), (hx - r * 2.6, hy + r * 0.2), (hx - r, hy + r * 0.5)],
        fill=(190, 150, 60),
    )
    if rng.random() < 0.4:
        lift = rng.uniform(0.8, 2.0)
        pen.polygon(
            [
                (x - s * 0.4, y - s * 0.4),
                (x + s * 0.5, y - s * lift),
                (x + s * 1.5, y - s * (lift + 0.2)),
                (x + s * 0.5, y - s * 0.3),
            ],
            fill=wing,
        )
    else:
        pen.ellipse([x - s * 0.4, y - s * 0.5, x + s * 1.1, y], fill=wing)


def draw_boat(pen: ImageDraw.ImageDraw, size: float, rng: np.random.Generator) -> None:
    """A hull with a cabin and perhaps a mast or a sail."""
    hull = tuple(
        int(v)
        for v in rng.choice(
            [(230, 230, 228), (40, 60, 110), (150, 40, 36), (60, 64, 66)]
        )
    )
    x0, x1, y = size * 0.4, size * 2.6, size * 2.2
    depth = size * rng.uniform(0.2, 0.36)
    pen.polygon(
        [
            (x0, y - depth * 1.25),
            (x1, y - depth),
            (x1 - depth * 0.3, y),
            (x0 + depth, y),
        ],
        fill=hull,
    )
    pen.polygon(
        [
            (x0 + size * 0.7, y - depth * 1.1),
            (x0 + size * 0.8, y - depth * 2.2),
            (x0 + size * 1.4, y - depth * 2.2),
            (x0 + size * 1.5, y - depth),
        ],
        fill=(238, 238, 234),
    )
    pen.rectangle(
        [x0 + size * 0.88, y - depth * 2, x0 + size * 1.3, y - depth * 1.6],
        fill=(40, 52, 62),
    )
    if rng.random() < 0.5:
        mast = x0 + size * 1.2
        pen.line(
            [(mast, y - depth), (mast, size * 0.2)],
            fill=(120, 118, 112),
            width=max(int(size * 0.025), 1),
        )
        if rng.random() < 0.5:
            pen.polygon(
                [
                    (mast, size * 0.25),
                    (mast, y - depth * 1.4),
                    (mast + size * 0.9, y - depth * 1.4),
                ],
                fill=(244, 242, 236),
            )


def draw_buoy(pen: ImageDraw.ImageDraw, size: float, rng: np.random.Generator) -> None:
    colour = tuple(
        int(v)
        for v in rng.choice(
            [(206, 60, 36), (224, 186, 40), (40, 110, 70), (60, 58, 58)]
        )
    )
    x, y, r = size * 1.5, size * 2.2, size * rng.uniform(0.25, 0.45)
    pen.ellipse([x - r, y - r * 1.6, x + r, y + r * 0.5], fill=colour)
    pen.ellipse(
        [x - r * 0.6, y - r * 1.45, x, y - r * 0.7],
        fill=tuple(min(v + 50, 255) for v in colour),
    )
    if rng.random() < 0.6:
        pen.line(
            [(x, y - r * 1.5), (x, y - r * rng.uniform(2.5, 4))],
            fill=(50, 50, 52),
            width=max(int(r * 0.2), 1),
        )


def draw_crest(pen: ImageDraw.ImageDraw, size: float, rng: np.random.Generator) -> None:
    """A peaked dark wave: the look-alike that costs detectors most."""
    n = 26
    across = np.linspace(0.1, 2.9, n)
    peak, width = rng.uniform(1.1, 1.9), rng.uniform(0.35, 0.9)
    lift = rng.uniform(0.25, 0.6) / (1 + ((across - peak) / width) ** 2)
    lift = lift + rng.normal(0, 0.012, n)
    lift *= np.clip(np.minimum(across - 0.1, 2.9 - across) * 4, 0, 1)
    top = [
        (float(a * size), float((2.2 - up) * size))
        for a, up in zip(across, lift, strict=True)
    ]
    shade = int(rng.integers(26, 74))
    pen.polygon(
        [*top, (2.9 * size, 2.2 * size), (0.1 * size, 2.2 * size)],
        fill=(shade, int(shade * 1.25), int(shade * 1.4), 200),
    )
    if rng.random() < 0.6:
        pen.line(top[8:18], fill=(222, 230, 232, 220), width=max(int(size * 0.035), 1))


def draw_wood(pen: ImageDraw.ImageDraw, size: float, rng: np.random.Generator) -> None:
    """A drifting trunk, perhaps with a branch."""
    brown = tuple(int(v) for v in rng.integers((48, 36, 26), (92, 72, 56)))
    y, r = size * 2.12, size * rng.uniform(0.06, 0.13)
    tilt = rng.uniform(-0.12, 0.12) * size
    pen.line(
        [(size * 0.3, y + tilt), (size * 2.7, y - tilt)],
        fill=brown,
        width=max(int(r * 2), 1),
    )
    if rng.random() < 0.6:
        x = size * rng.uniform(0.8, 2.2)
        pen.line(
            [
                (x, y),
                (x + size * rng.uniform(-0.4, 0.4), y - size * rng.uniform(0.2, 0.7)),
            ],
            fill=brown,
            width=max(int(r), 1),
        )
