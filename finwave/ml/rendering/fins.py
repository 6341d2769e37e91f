"""Individuals: the outline of a dorsal fin and the marks on both of its sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from finwave.ml.rendering.sea import foam_tile

Floats: TypeAlias = NDArray[np.float32]
Side: TypeAlias = Literal["left", "right"]

# The canonical drawing: x grows towards the tail, y downwards, one fin height is UNIT.
UNIT = 240
CANVAS_WH = (1280, 460)
ORIGIN = (590.0, 270.0)  # middle of the fin's base
# The box of a fin starts this far above the line of the back, in fin heights.
FOOT = 0.04


@dataclass(frozen=True, slots=True)
class Nick:
    """A piece missing from the trailing edge."""

    place: float  # along the edge, 0 at the tip to 1 at the foot
    depth: float  # in fin heights
    width: float  # in lengths of the edge
    skew: float  # -1 cut upwards to 1 cut downwards


@dataclass(frozen=True, slots=True)
class FinShape:
    """One individual: everything that does not change from photo to photo."""

    seed: int
    outline: Floats  # (N, 2) closed polygon of fin and back, fin heights, y up
    fin: Floats  # (M, 2) the part of the outline that is the fin
    nicks: tuple[Nick, ...]
    tone: float  # brightness of the skin
    warmth: float  # 0 blue grey to 1 brown
    _textures: dict[Side, Image.Image] = field(default_factory=dict, repr=False)

    def texture(self, side: Side) -> Image.Image:
        """Return the drawn flank as RGBA, head to the left whatever the side."""
        if side not in self._textures:
            self._textures[side] = draw_flank(self, side)
        return self._textures[side]


def bezier(*points: tuple[float, float], n: int) -> Floats:
    """Return n points of a cubic Bezier curve as (n, 2) float32."""
    t = np.linspace(0, 1, n)[:, None]
    a, b, c, d = (np.asarray(point) for point in points)
    curve = (
        (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    )
    return np.asarray(curve, np.float32)


def render_individual(seed: int) -> FinShape:
    """Return an individual: same seed, same animal."""
    rng = np.random.default_rng((seed, 11))
    base = rng.uniform(0.92, 1.4)
    tip_x = base * rng.uniform(0.12, 0.62)
    lean = rng.uniform(0.0, 0.3)  # convexity of the leading edge
    hook = rng.uniform(0.0, 0.3)  # how falcate
    blunt = rng.uniform(0.02, 0.1)

    head, tail = -base / 2, base / 2
    tip = (tip_x, 1.0)
    leading = bezier(
        (head - 0.32, 0.0),
        (head + 0.02, 0.05),
        (tip_x - 0.5 - lean, 0.62 + lean * 0.9),
        (tip_x - blunt * 1.5, 1.0 - blunt * 0.2),
        n=90,
    )
    cap = bezier(
        (tip_x - blunt * 1.5, 1.0 - blunt * 0.2),
        (tip_x - blunt * 0.5, 1.0 + blunt * 0.35),
        (tip_x + blunt * 0.9, 1.0 + blunt * 0.1),
        (tip_x + blunt * (0.4 + hook), 1.0 - blunt * 1.5),
        n=24,
    )
    trailing = bezier(
        (tip[0] + blunt * (0.4 + hook), 1.0 - blunt * 1.5),
        (tip[0] - 0.02 - hook * 0.55, 0.72),
        (tail - 0.32 - hook * 0.35, 0.16 + rng.uniform(0, 0.12)),
        (tail + rng.uniform(0.0, 0.16), 0.0),
        n=420,
    )
    nicks = draw_nicks(rng)
    trailing = notched(trailing, nicks, rng)
    fin = np.concatenate([leading, cap[1:-1], trailing])
    front = bezier(
        (-2.3, -0.95), (-1.75, -0.3), (-1.3, -0.03), (head - 0.32, 0.0), n=40
    )
    back = bezier(tuple(trailing[-1]), (1.3, -0.02), (1.9, -0.22), (2.75, -0.95), n=40)
    floor = np.asarray([(2.6, -1.6), (-2.2, -1.6)], np.float32)
    return FinShape(
        seed=seed,
        outline=np.concatenate([front[:-1], fin, back[1:], floor]),
        fin=fin,
        nicks=nicks,
        tone=float(rng.uniform(0.7, 1.3)),
        warmth=float(rng.uniform(0, 1)),
    )


def draw_nicks(rng: np.random.Generator) -> tuple[Nick, ...]:
    """Draw one or two big nicks and a few small ones, apart from each other."""
    nicks: list[Nick] = []
    n_big, n_small = (
        int(rng.choice(4, p=(0.08, 0.42, 0.38, 0.12))),
        int(rng.integers(1, 4)),
    )
    for i in range(n_big + n_small):
        is_big = i < n_big
        for _attempt in range(20):
            place = float(rng.uniform(0.06, 0.86))
            width = float(
                rng.uniform(0.07, 0.15) if is_big else rng.uniform(0.02, 0.05)
            )
            if all(
                abs(place - other.place) > (width + other.width) * 0.6
                for other in nicks
            ):
                depth = rng.uniform(0.06, 0.16) if is_big else rng.uniform(0.02, 0.05)
                # The tip is thin: a deep cut there would leave a hook of skin.
                depth *= min(1.0, 0.25 + place * 2.2)
                nicks.append(
                    Nick(place, float(depth), width, float(rng.uniform(-0.7, 0.7)))
                )
                break
    return tuple(nicks)


def notched(edge: Floats, nicks: tuple[Nick, ...], rng: np.random.Generator) -> Floats:
    """Return the edge with the nicks cut into it and a little raggedness.

    Args:
        edge: (N, 2) from the tip to the foot, the body to its left (smaller x).
        nicks: what is missing.
        rng: source of the raggedness.
    """
    tangent = np.gradient(edge, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)  # towards the body
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    length = np.concatenate(
        [[0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))]
    )
    place = length / length[-1]
    cut = np.zeros(len(edge))
    shift = np.zeros(len(edge))
    for nick in nicks:
        t = (place - nick.place) / (nick.width / 2)
        bite = np.clip(1 - np.abs(t) ** 1.6, 0, None) ** 0.8 * nick.depth
        cut = np.maximum(cut, bite)
        shift += bite * nick.skew * 0.6
    knots = rng.normal(0, 0.0025, 60)
    ragged = np.interp(place, np.linspace(0, 1, 60), knots)
    ends = np.clip(np.minimum(place, 1 - place) * 12, 0, 1)
    inward = normal * ((cut + ragged) * ends)[:, None]
    along = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    return np.asarray(edge + inward + along * (shift * ends)[:, None], np.float32)


def to_canvas(points: Floats, scale: float = 1.0) -> list[tuple[float, float]]:
    x = (points[:, 0] * UNIT + ORIGIN[0]) * scale
    y = (ORIGIN[1] - points[:, 1] * UNIT) * scale
    return list(zip(x.tolist(), y.tolist(), strict=True))


def draw_flank(shape: FinShape, side: Side) -> Image.Image:
    """Return one side of the animal: skin, shading, pigment, scratches, alpha."""
    rng = np.random.default_rng((shape.seed, 5 if side == "left" else 6))
    width, height = CANVAS_WH
    mask = Image.new("L", (width * 2, height * 2))
    ImageDraw.Draw(mask).polygon(to_canvas(shape.outline, 2), fill=255)
    alpha = mask.resize((width, height), Image.Resampling.BOX)

    # Skin: darker on the back, lighter low on the flank, mottled.
    warm = np.asarray((86, 80, 78)) * shape.warmth + np.asarray((72, 78, 86)) * (
        1 - shape.warmth
    )
    y = (ORIGIN[1] - np.arange(height, dtype=np.float32))[:, None] / UNIT
    x = (np.arange(width, dtype=np.float32) - ORIGIN[0])[None] / UNIT
    down = np.clip(-y * 0.55, 0, 0.6) + np.clip(y, 0, 1) * 0.16
    tile = np.roll(foam_tile(), tuple(rng.integers(0, 512, 2)), (0, 1))
    tile = np.tile(tile, (1, 3))[:height, :width]
    light = shape.tone * (0.82 + down + (tile - 0.5) * 0.16)
    # The fin is a thin wedge: its front edge turns towards the light, its rear away.
    soft = np.asarray(alpha.filter(ImageFilter.BoxBlur(14)), np.float32) / 255
    slope_x = np.gradient(soft, axis=1) * 14
    slope_y = np.gradient(soft, axis=0) * 14
    light = light + 0.2 * np.clip(slope_x, -1, 1) + 0.22 * np.clip(slope_y, -1, 1)
    wet = np.exp(-(((y + 0.12 + 0.05 * x**2) / 0.05) ** 2)) * np.clip(
        tile * 1.6 - 0.6, 0, 1
    )
    light = light + 0.4 * wet * (y < 0.02)
    marks = np.asarray(draw_marks(shape, rng), np.float32)
    light = light * (1 + (marks - 128) / 128)
    colour = warm[None, None] * light[..., None]
    rgba = np.dstack([np.clip(colour, 0, 255), np.asarray(alpha, np.float32)])
    return Image.fromarray(rgba.astype(np.uint8))


def draw_marks(shape: FinShape, rng: np.random.Generator) -> Image.Image:
    """Return a grey picture of pigment and scars, 128 where the skin is plain."""
    marks = Image.new("L", CANVAS_WH, 128)
    pen = ImageDraw.Draw(marks)
    top = int(np.argmax(shape.fin[:, 1]))
    leading, trailing = shape.fin[: top + 1], shape.fin[top:][::-1]

    def spot() -> tuple[float, float]:
        y = rng.uniform(0.05, 0.85)
        front = np.interp(y, leading[:, 1], leading[:, 0])
        rear = np.interp(y, trailing[:, 1], trailing[:, 0])
        x = front + (rear - front) * rng.uniform(0.12, 0.85)
        return to_canvas(np.asarray([[x, y]], np.float32))[0]

    for _ in range(int(rng.integers(1, 5))):  # pigment: soft blotches
        (x, y), radius = spot(), rng.uniform(12, 52)
        points = []
        for angle in np.linspace(0, 2 * np.pi, 18, endpoint=False):
            r = radius * rng.uniform(0.65, 1.25)
            points.append((x + r * np.cos(angle), y + r * np.sin(angle) * 0.8))
        pen.polygon(points, fill=int(rng.choice((78, 92, 178, 200))))
    marks = marks.filter(ImageFilter.GaussianBlur(4))
    pen = ImageDraw.Draw(marks)
    for _ in range(int(rng.integers(1, 4))):  # tooth rakes: parallel lines
        (x, y), angle = spot(), rng.uniform(0, np.pi)
        length, gap = rng.uniform(34, 110), rng.uniform(7, 12)
        for line in range(int(rng.integers(2, 6))):
            ox, oy = -np.sin(angle) * gap * line, np.cos(angle) * gap * line
            end = (x + ox + np.cos(angle) * length, y + oy + np.sin(angle) * length)
            pen.line([(x + ox, y + oy), end], fill=int(rng.integers(186, 240)), width=3)
    for _ in range(int(rng.integers(2, 7))):  # single scratches
        (x, y), (x2, y2) = spot(), spot()
        bend = (
            0.5 * (x + x2) + rng.uniform(-20, 20),
            0.5 * (y + y2) + rng.uniform(-20, 20),
        )
        pen.line([(x, y), bend, (x2, y2)], fill=int(rng.integers(170, 230)), width=2)
    for _ in range(int(rng.integers(0, 4))):  # round scars
        (x, y), r = spot(), rng.uniform(5, 13)
        pen.ellipse([x - r, y - r, x + r, y + r], fill=int(rng.choice((60, 220))))
    return marks.filter(ImageFilter.GaussianBlur(0.9))
