"""Photos that a colour detector reads: pure red squares on grey, on its raster.

A photo of 640 pixels is a canvas of 128 to the detector, whose cells of 32 pixels are
squares of 160 pixels of the photo: four by four.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from populations.models import Detector, Encounter, Individual, Photo, Population
from tests.factories.populations import DetectorFactory, PhotoFactory, PhotoLabelFactory
from tests.finwave.ml.onnx_models import colour_detector, write

SIDE_PX = 640
CELL_PX = 160

# Squares as column, row and strength (which becomes the detector's confidence).
CENTRE = (1, 1, 1.0)
OTHER_CENTRE = (2, 2, 1.0)
CORNER = (0, 0, 1.0)
DIM_CORNER = (0, 0, 0.35)
OTHER_DIM_CORNER = (3, 3, 0.35)


def draw(*squares: tuple[int, int, float], seed: int = 0) -> Image.Image:
    image = np.full((SIDE_PX, SIDE_PX, 3), 110, np.uint8)
    for column, row, strength in squares:
        x, y = column * CELL_PX, row * CELL_PX
        image[y : y + CELL_PX, x : x + CELL_PX] = (round(255 * strength), 0, 0)
    # No two photos are the same file.
    image[0, :8, 2] = [seed >> shift & 255 for shift in range(8)]
    return Image.fromarray(image)


def add_photo(
    population: Population,
    *squares: tuple[int, int, float],
    individuals: tuple[Individual, ...] = (),
    encounter: Encounter | None = None,
    is_readable: bool = True,
) -> Photo:
    """Store a photo with these squares; without any nothing is to be found."""
    folder = Path(population_folder(population))
    folder.mkdir(parents=True, exist_ok=True)
    number = population.photos.count()
    path = folder / f"{number}.png"
    draw(*squares, seed=number).save(path)
    if not is_readable:
        path.write_bytes(path.read_bytes()[:200])
    content = path.read_bytes()
    photo = PhotoFactory(
        population=population,
        encounter=encounter,
        sha256=hashlib.sha256(content + bytes([number % 256])).hexdigest(),
        file=f"populations/{population.pk}/photos/{number}.png",
        original_name=f"IMG_{number:04d}.png",
        width_px=SIDE_PX,
        height_px=SIDE_PX,
    )
    for individual in individuals:
        PhotoLabelFactory(photo=photo, individual=individual, side="left")
    return photo


def population_folder(population: Population) -> str:
    from finwave.home import home

    return str(home() / "populations" / str(population.pk) / "photos")


def add_detector(population: Population) -> Detector:
    """Store the detector that finds the squares."""
    from finwave.home import home

    folder = home() / "detectors"
    folder.mkdir(exist_ok=True)
    path = write(colour_detector(), folder / f"{population.pk}.onnx")
    return DetectorFactory(
        population=population,
        file=f"detectors/{path.name}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes={"0": "red", "1": "green"},
        input_width_px=128,
        input_height_px=128,
    )
