"""The sea surface: waves, their perspective and occlusion, sky, glitter, foam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finwave.ml.rendering.conditions import Conditions

Floats: TypeAlias = NDArray[np.float32]

# Wavelengths of the three bands in pixels at the animal's distance. The two long ones
# are sums of cosines on coarse grids, the short one is a tile made once.
SWELL_PX = (170.0, 1400.0)
CHOP_PX = (34.0, 170.0)
N_SWELL, N_CHOP = 22, 26
TILE = 512
# Slopes are looked up in a table of so many steps over ± MAX_SLOPE.
STEPS, MAX_SLOPE = 96, 0.75
FARTHEST = 30.0  # times the animal's distance; beyond it is haze


@dataclass(frozen=True, slots=True)
class Sea:
    """A rendered surface and where on it things can be put."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    horizon_y: float
    animal_y: float  # row at which scale is 1

    def scale_at(self, y: float) -> float:
        """Return the size of things whose waterline is at row y; 1 at the animal's."""
        return max((y - self.horizon_y) / (self.animal_y - self.horizon_y), 0.02)


@lru_cache(maxsize=1)
def ripple_tile() -> tuple[Floats, Floats, Floats]:
    """Return a periodic (TILE, TILE) field of short waves: height and its two slopes.

    Heights are in pixels for a slope of root mean square 1.
    """
    rng = np.random.default_rng(20_240_601)
    k = np.fft.fftfreq(TILE).astype(np.float64)
    kx, kz = np.meshgrid(k, k)
    size = np.hypot(kx, kz)
    size[0, 0] = 1
    # Wavelengths of 4 to 44 px; slope energy alike in every octave; wider than long.
    band = np.clip((1 / size - 4) / 3, 0, 1) * np.clip((44 - 1 / size) / 12, 0, 1)
    spread = 0.25 + 0.75 * np.abs(kz) / size
    phase = rng.uniform(0, 2 * np.pi, size.shape)
    spectrum = band * spread * size**-2.0 * np.exp(1j * phase)
    spectrum[0, 0] = 0
    height = np.fft.ifft2(spectrum).real
    dx = np.fft.ifft2(spectrum * 2j * np.pi * kx).real
    dz = np.fft.ifft2(spectrum * 2j * np.pi * kz).real
    scale = 1 / np.sqrt((dx**2 + dz**2).mean())
    return (
        (height * scale).astype(np.float32),
        (dx * scale).astype(np.float32),
        (dz * scale).astype(np.float32),
    )


@lru_cache(maxsize=1)
def foam_tile() -> Floats:
    """Return a periodic (TILE, TILE) field of lacy noise in [0, 1]."""
    rng = np.random.default_rng(7)
    k = np.fft.fftfreq(TILE)
    size = np.hypot(*np.meshgrid(k * 2.2, k))
    size[0, 0] = 1
    phase = rng.uniform(0, 2 * np.pi, size.shape)
    noise = np.fft.ifft2(size**-1.35 * (size > 0.006) * np.exp(1j * phase)).real
    ranks = np.empty(noise.size, np.float32)
    ranks[np.argsort(noise, axis=None)] = np.linspace(0, 1, noise.size)
    return ranks.reshape(noise.shape)


def band_of_waves(
    x: Floats,
    z: Floats,
    *,
    wavelengths_px: tuple[float, float],
    n_waves: int,
    slope: float,
    wind: float,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Return height and slopes of a sum of cosines at world points.

    Args:
        x: (J, I) float32, sideways, pixels at the animal's distance.
        z: (J, 1) float32, away from the viewer, the same unit, growing along axis 0.
        wavelengths_px: shortest and longest, the same unit.
        n_waves: how many cosines.
        slope: root mean square of the whole band's slope.
        wind: direction of travel in radians, 0 = towards the viewer.
        rng: source of wavelengths, directions and phases.

    Returns:
        height, slope along x, slope along z: each (J, I) float32.
    """
    low, high = np.log(wavelengths_px[0]), np.log(wavelengths_px[1])
    length = np.exp(rng.uniform(low, high, n_waves))
    angle = wind + rng.normal(0, 0.55, n_waves)
    phase = rng.uniform(0, 2 * np.pi, n_waves)
    k = 2 * np.pi / length
    kx, kz = k * np.sin(angle), k * np.cos(angle)
    each = slope * np.sqrt(2 / n_waves)
    height = np.zeros(np.broadcast_shapes(x.shape, z.shape), np.float32)
    dx, dz = np.zeros_like(height), np.zeros_like(height)
    # A wave that the grid cannot resolve at a distance is faded out there.
    step = np.abs(np.gradient(z[:, 0]))[:, None]
    for i in range(n_waves):
        fade = np.clip(1.6 - np.abs(kz[i]) * step / 1.2, 0, 1).astype(np.float32)
        argument = (kx[i] * x + kz[i] * z + phase[i]).astype(np.float32)
        wave = np.sin(argument) * (each * fade)
        height -= wave * np.float32(1 / k[i])
        # Crests are sharper than troughs: the second harmonic of a Stokes wave.
        crest = np.cos(argument) * (each * fade)
        slope_here = crest + wave * crest * np.float32(1.6)
        dx -= slope_here * np.float32(kx[i] / k[i])
        dz -= slope_here * np.float32(kz[i] / k[i])
    return height, dx, dz


def upsampled(field: Floats, shape_hw: tuple[int, int]) -> Floats:
    image = Image.fromarray(field).resize(shape_hw[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def sky_colour(elevation: Floats, conditions: Conditions) -> Floats:
    """Return (…, 3) colours of the sky at elevations given as sines."""
    colours = conditions.colours
    share = np.clip(elevation, 0, 1)[..., None] ** 0.55
    horizon = np.asarray(colours.horizon, np.float32)
    zenith = np.asarray(colours.zenith, np.float32)
    return (horizon + (zenith - horizon) * share).astype(np.float32)


def water_colours(conditions: Conditions, elevation: float) -> Floats:
    """Return the table of colours of a facet by its two slopes.

    Reflection of the sky by Schlick's approximation (Schlick 1994, eq. 15) over light
    scattered from below, and the sun's mirror image.

    Args:
        conditions: light and sea.
        elevation: slope of the line of sight above the horizontal.

    Returns:
        (STEPS * STEPS, 3) float32; index = step of the x slope * STEPS + of the z slope.
    """
    colours = conditions.colours
    steps = np.linspace(-MAX_SLOPE, MAX_SLOPE, STEPS, dtype=np.float32)
    dx, dz = np.meshgrid(steps, steps, indexing="ij")
    norm = 1 / np.sqrt(1 + dx**2 + dz**2)
    facing = np.clip((elevation + dz) * norm, 0.0, 1)
    fresnel = 0.02 + 0.98 * (1 - facing) ** 5
    up = 2 * facing * norm - elevation
    reflected = sky_colour(np.abs(up).astype(np.float32), conditions)
    # Waves that face us show the water's own colour, brighter where light shines through.
    water = np.asarray(colours.water, np.float32) * (0.72 + 1.1 * facing[..., None])
    table = water + (reflected - water) * fresnel[..., None]

    right = 2 * facing * -dx * norm
    away = 2 * facing * -dz * norm + 1
    sun_up = np.sin(conditions.sun_height)
    sun_right = np.sin(conditions.sun) * np.cos(conditions.sun_height)
    sun_away = np.cos(conditions.sun) * np.cos(conditions.sun_height)
    size = np.sqrt(up**2 + right**2 + away**2)
    cosine = (up * sun_up + right * sun_right + away * sun_away) / size
    glitter = np.clip(cosine, 0, 1) ** 90 * conditions.glare * 5
    table += glitter[..., None].clip(0, 2.5) * np.asarray(colours.sun, np.float32)
    return np.asarray(np.clip(table, 0, 255).reshape(-1, 3), np.float32)


def render_sea(conditions: Conditions, rng: np.random.Generator) -> Sea:
    """Return a photograph-like empty sea.

    The surface is a height field over a grid of depths and columns. Each column keeps
    the running highest projection from near to far, so that near waves hide far ones.

    Note: rendered at half the width (waves are long sideways) and stretched.
    """
    c = conditions
    width, height = c.width_px // 2, c.height_px
    animal_y = height * 0.62
    horizon_y = c.horizon * height
    drop = animal_y - horizon_y  # rows from the horizon to the animal
    elevation = 0.13
    top = max(horizon_y + drop / FARTHEST, -60)
    # Waves lower the surface: the grid begins below the frame, rougher seas further.
    bottom = height + 60 + int(420 * c.roughness)
    n_depths = int((bottom - top) * 1.25)

    # World points seen through each row of the mean level, nearest first.
    rows = np.linspace(bottom, top, n_depths, dtype=np.float32)
    depth = (drop / np.maximum(rows - horizon_y, drop / FARTHEST))[:, None]
    columns = np.linspace(-width, width, width, dtype=np.float32)[None]
    along = depth * np.float32(drop / elevation)

    def band(step_j: int, step_i: int, **options: Any) -> tuple[Floats, ...]:
        near_far = np.linspace(0, n_depths - 1, max(n_depths // step_j, 2)).astype(int)
        sideways = np.linspace(-width, width, width // step_i + 2, dtype=np.float32)
        fields = band_of_waves(
            depth[near_far] * sideways[None], along[near_far], rng=rng, **options
        )
        return tuple(upsampled(field, (n_depths, width)) for field in fields)

    swell = band(
        5,
        14,
        wavelengths_px=SWELL_PX,
        n_waves=N_SWELL,
        slope=c.roughness * 0.75,
        wind=c.wind,
    )
    chop = band(
        2,
        4,
        wavelengths_px=CHOP_PX,
        n_waves=N_CHOP,
        slope=c.roughness * 0.8,
        wind=c.wind,
    )

    # Ripples from the tile; coarser than a row far away, hence faded by distance.
    row = (along * 1.0).astype(np.int32) + int(rng.integers(TILE))
    column = (depth * columns).astype(np.int32) + int(rng.integers(TILE))
    flat = (row & (TILE - 1)) * TILE + (column & (TILE - 1))
    fade = np.clip(1.15 - depth * 0.22, 0.25, 1) * np.float32(c.roughness * 0.62)
    dx = swell[1] + chop[1] + ripple_tile()[1].ravel()[flat] * fade
    dz = swell[2] + chop[2] + ripple_tile()[2].ravel()[flat] * fade
    level = swell[0] + chop[0]

    # Which depth each pixel shows: per column, how many points project below its row.
    projected = horizon_y + (drop - level) / depth
    highest = np.minimum.accumulate(projected, axis=0)
    bins = np.clip(np.ceil(highest), 0, height).astype(np.int32)
    bins = bins * width + np.arange(width, dtype=np.int32)[None]
    counts = np.bincount(bins.ravel(), minlength=(height + 1) * width)
    counts = counts.reshape(height + 1, width).astype(np.int32)
    shown = np.cumsum(counts[::-1], axis=0)[::-1][1:]
    is_water = shown < n_depths
    pick = np.minimum(shown, n_depths - 1) * width + np.arange(width)[None]

    steps = (STEPS - 1) / (2 * MAX_SLOPE)
    code = np.clip((dx + MAX_SLOPE) * steps, 0, STEPS - 1).astype(np.int32) * STEPS
    code += np.clip((dz + MAX_SLOPE) * steps, 0, STEPS - 1).astype(np.int32)
    image = water_colours(c, elevation)[code.ravel()[pick]]

    if c.whitecaps > 0.05:
        sharp = level - np.float32(c.roughness * (150 - 95 * c.whitecaps))
        foam = np.clip(sharp / 10, 0, 1) * np.clip(
            foam_tile().ravel()[flat] * 3 - 1.5, 0, 1
        )
        share = foam.ravel()[pick][..., None] * np.float32(0.85)
        image += (np.asarray(c.colours.horizon, np.float32) * 1.08 - image) * share

    rows_y = np.arange(height, dtype=np.float32)
    nearness = np.clip((rows_y - horizon_y) / drop, 0.02, 1)
    mist = np.exp(-nearness * 6.0) * (0.25 + 0.75 * c.haze) + c.haze * 0.25 * (
        1 - nearness
    )
    mist = np.clip(mist, 0, 1)[:, None, None].astype(np.float32)
    image += (np.asarray(c.colours.horizon, np.float32) - image) * mist
    if horizon_y > 0:
        image = np.where(
            is_water[..., None], image, sky(c, rng, (height, width), horizon_y)
        )
    small = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    full = small.resize((c.width_px, height), Image.Resampling.BICUBIC)
    return Sea(np.asarray(full), horizon_y, animal_y)


def sky(
    c: Conditions, rng: np.random.Generator, shape_hw: tuple[int, int], horizon_y: float
) -> Floats:
    """Return the sky with soft clouds, and sometimes a distant coast."""
    height, width = shape_hw
    up = np.clip((horizon_y - np.arange(height, dtype=np.float32)) / height, 0, 1)
    colours = sky_colour(np.asarray(up * 0.5, np.float32), c)
    image = np.broadcast_to(colours[:, None], (height, width, 3)).copy()
    clouds = upsampled(rng.random((9, 12), dtype=np.float32), (height, width))
    clouds = clouds + 0.5 * upsampled(
        rng.random((26, 30), dtype=np.float32), (height, width)
    )
    clouds = np.clip(clouds - 0.85, 0, 0.6) * np.float32(0.9)
    image += (244 - image) * clouds[..., None]
    if rng.random() < 0.45:
        knots = rng.random(14, dtype=np.float32) * rng.uniform(8, 46)
        coast = np.interp(np.linspace(0, 13, width), np.arange(14), knots)
        coast = (
            coast
            + np.interp(np.linspace(0, 89, width), np.arange(90), rng.random(90)) * 5
        )
        is_coast = np.arange(height)[:, None] > horizon_y - coast[None]
        land = np.asarray(c.colours.horizon, np.float32) * 0.55 + np.asarray(
            (30, 42, 34)
        )
        land = land + (np.asarray(c.colours.horizon) - land) * c.haze
        image = np.where(is_coast[..., None], land.astype(np.float32), image)
    return image
