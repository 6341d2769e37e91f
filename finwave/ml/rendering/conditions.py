"""What a rendered photo was taken under: light, sea, distance, lens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

import numpy as np

Light: TypeAlias = Literal["bright", "overcast", "dusk"]
Colour: TypeAlias = tuple[float, float, float]

LIGHTS: tuple[Light, ...] = ("bright", "overcast", "dusk")


@dataclass(frozen=True, slots=True)
class Palette:
    """Linear-looking colours (0 to 255) of one kind of light."""

    zenith: Colour
    horizon: Colour
    water: Colour  # light scattered back from below the surface
    sun: Colour
    animal: Colour  # light that falls on skin, as a multiplier


# Chosen by eye against photographs of the North Sea and of the Adriatic.
PALETTES: dict[Light, tuple[Palette, ...]] = {
    "bright": (
        Palette(
            (96, 148, 206),
            (196, 214, 230),
            (14, 58, 84),
            (255, 248, 232),
            (1.15, 1.1, 1.0),
        ),
        Palette(
            (88, 150, 214),
            (184, 208, 228),
            (12, 74, 96),
            (255, 250, 238),
            (1.15, 1.12, 1.05),
        ),
        Palette(
            (112, 158, 204),
            (206, 218, 226),
            (28, 70, 72),
            (255, 246, 226),
            (1.12, 1.06, 0.96),
        ),
    ),
    "overcast": (
        Palette(
            (172, 180, 188),
            (206, 210, 212),
            (58, 70, 76),
            (230, 232, 234),
            (0.9, 0.92, 0.95),
        ),
        Palette(
            (150, 160, 170),
            (196, 202, 206),
            (44, 66, 74),
            (220, 224, 228),
            (0.85, 0.88, 0.92),
        ),
        Palette(
            (178, 184, 182),
            (208, 210, 206),
            (64, 82, 78),
            (232, 232, 226),
            (0.92, 0.93, 0.9),
        ),
    ),
    "dusk": (
        Palette(
            (96, 104, 142),
            (226, 184, 152),
            (30, 36, 54),
            (255, 208, 150),
            (0.8, 0.66, 0.58),
        ),
        Palette(
            (118, 116, 146),
            (206, 168, 158),
            (34, 38, 56),
            (255, 196, 150),
            (0.76, 0.64, 0.62),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """One photo's circumstances; `draw` picks plausible ones."""

    width_px: int = 960
    height_px: int = 640
    light: Light = "bright"
    palette: int = 0  # which palette of the light
    roughness: float = 0.16  # root mean square of the waves' slope
    wind: float = 0.4  # direction of the waves in radians, 0 = towards us
    sun: float = 0.3  # azimuth of the sun in radians, 0 = behind the animal
    sun_height: float = 0.45  # elevation of the sun in radians
    glare: float = 0.4  # strength of the sun's glitter, 0 to 1
    whitecaps: float = 0.1  # 0 none to 1 many
    haze: float = 0.1  # 0 clear to 1 fog at the horizon
    horizon: float = -0.4  # row of the horizon, share of the height; < 0 out of frame
    fin_height_px: float = 90.0  # height of an average fin in the middle distance
    side: Literal["left", "right"] = "left"  # flank that the photographer sees
    backlight: float = 0.2  # 0 lit from the front to 1 silhouette
    blur_px: float = 0.0  # radius of defocus
    motion_px: float = 0.0  # length of motion blur
    noise: float = 2.0  # standard deviation of grain, grey levels
    n_distractors: int = 0
    has_focal: bool = False  # the first animal is near and central, others behind
    jpeg_quality: int = 88

    @classmethod
    def draw(cls, rng: np.random.Generator, *, light: Light | None = None) -> Self:
        """Return plausible conditions; the light may be given (one an encounter)."""
        chosen = light or LIGHTS[rng.choice(3, p=(0.5, 0.35, 0.15))]
        has_horizon = rng.random() < 0.25
        has_blur = rng.random() < 0.2
        return cls(
            light=chosen,
            palette=int(rng.integers(len(PALETTES[chosen]))),
            roughness=float(rng.uniform(0.06, 0.21)),
            wind=float(rng.uniform(-1.2, 1.2)),
            sun=float(rng.normal(0, 0.9)),
            sun_height=float(
                rng.uniform(0.15, 0.3) if chosen == "dusk" else rng.uniform(0.3, 0.9)
            ),
            glare=float(rng.beta(1.2, 2.0) * (0.15 if chosen == "overcast" else 1.0)),
            whitecaps=float(rng.beta(0.8, 3.0)),
            haze=float(rng.beta(1.0, 4.0)),
            horizon=float(
                rng.uniform(0.05, 0.3) if has_horizon else rng.uniform(-1.6, -0.05)
            ),
            fin_height_px=float(np.exp(rng.normal(np.log(95), 0.5))),
            side="left" if rng.random() < 0.5 else "right",
            backlight=float(rng.beta(1.1, 1.8)),
            blur_px=float(rng.uniform(0.6, 1.9) if has_blur else rng.uniform(0, 0.5)),
            motion_px=float(rng.uniform(3, 8) if rng.random() < 0.12 else 0),
            noise=float(rng.uniform(1.0, 5.5)),
            n_distractors=int(rng.choice(3, p=(0.7, 0.2, 0.1))),
            jpeg_quality=int(rng.integers(74, 94)),
        )

    def with_(self, **changes: object) -> Self:
        return replace(self, **changes)  # type: ignore[arg-type]  # checked by replace

    @property
    def colours(self) -> Palette:
        return PALETTES[self.light][self.palette % len(PALETTES[self.light])]
