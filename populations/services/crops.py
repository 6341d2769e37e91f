"""Cut-outs of annotations: cut, store, move, and what people decide about them.

A crop is the annotation's box with a margin, as JPEG under the population's
`training-data` folder. Which detection becomes an annotation is decided in `tiers`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from finwave.home import home
from populations.models import Annotation

if TYPE_CHECKING:
    from finwave.jobs.running import JobRun

logger = logging.getLogger(__name__)

# Share of the box's width and height added on each side. A fin's outline must not
# touch the border of its crop, and detectors cut it close; more than this brings in
# water and neighbours, which are not the animal.
MARGIN = 0.05
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class CutCrop:
    """A crop that was cut but not stored yet."""

    jpeg: bytes
    sha256: str
    width_px: int
    height_px: int
    sharpness: float


def with_margin(
    box_xyxy: tuple[float, float, float, float], *, width_px: int, height_px: int
) -> tuple[int, int, int, int]:
    """Return the box with its margin, in whole pixels inside the photo."""
    x1, y1, x2, y2 = box_xyxy
    dx, dy = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left = min(max(int(x1 - dx), 0), width_px - 1)
    top = min(max(int(y1 - dy), 0), height_px - 1)
    right = min(max(round(x2 + dx), left + 1), width_px)
    bottom = min(max(round(y2 + dy), top + 1), height_px)
    return left, top, right, bottom


def cut(
    image: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float]
) -> CutCrop:
    """Cut a box out of a decoded photo. Touches no database: threads may call it."""
    from finwave.ml.images import write_jpeg  # noqa: PLC0415 -- slow import
    from finwave.ml.sharpness import sharpness  # noqa: PLC0415 -- slow import

    height_px, width_px = image.shape[:2]
    left, top, right, bottom = with_margin(
        box_xyxy, width_px=width_px, height_px=height_px
    )
    region = np.ascontiguousarray(image[top:bottom, left:right])
    buffer = io.BytesIO()
    write_jpeg(region, buffer, quality=JPEG_QUALITY)
    jpeg = buffer.getvalue()
    return CutCrop(
        jpeg=jpeg,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        width_px=right - left,
        height_px=bottom - top,
        sharpness=float(sharpness(region)),
    )


def folder_name(code: str | None) -> str:
    """Make an individual's code safe as the name of a folder.

    Two codes may share a folder; the annotation's id in the file name keeps their
    crops apart.
    """
    if code is None:
        return "_unidentified"
    return re.sub(r"[^\w.-]+", "_", code).strip("._")[:80] or "_"


def crop_name(annotation: Annotation, sha256: str) -> str:
    individual = annotation.individual
    folder = folder_name(individual.code if individual else None)
    population_id = annotation.photo.population_id
    return (
        f"populations/{population_id}/training-data/{folder}/"
        f"{annotation.pk}-{sha256[:8]}.jpg"
    )


def store_crop(annotation: Annotation, crop: CutCrop) -> None:
    """Write the crop's file, then point the annotation at it.

    The name follows from the content, so a repetition after a kill between the two
    steps writes the same file again. The annotation may be gone by now (somebody
    chose another box); then the file goes too.
    """
    name = crop_name(annotation, crop.sha256)
    write_atomically(home() / name, crop.jpeg)
    before = annotation.crop.name
    updated = Annotation.objects.filter(pk=annotation.pk).update(
        crop=name,
        crop_sha256=crop.sha256,
        crop_width_px=crop.width_px,
        crop_height_px=crop.height_px,
        sharpness=crop.sharpness,
    )
    annotation.crop.name = name
    if not updated:
        remove_files([name])
    elif before and before != name:
        remove_files([before])


def ensure_crop(annotation: Annotation) -> Annotation:
    """Cut the annotation's crop if it has none, or none under its present name.

    Raises:
        finwave.ml.images.ImageError: if the photo cannot be read.
    """
    from finwave.ml.images import open_image  # noqa: PLC0415 -- slow import

    if has_crop(annotation):
        return annotation
    image = open_image(Path(annotation.photo.file.path))
    store_crop(annotation, cut(image, box_of(annotation)))
    annotation.refresh_from_db()
    return annotation


def has_crop(annotation: Annotation) -> bool:
    name = annotation.crop.name
    return bool(
        name
        and name == crop_name(annotation, annotation.crop_sha256)
        and (home() / name).is_file()
    )


def box_of(annotation: Annotation) -> tuple[float, float, float, float]:
    return annotation.x1, annotation.y1, annotation.x2, annotation.y2


def move_crop(annotation: Annotation) -> None:
    """Give the crop the name that fits its present individual."""
    before = annotation.crop.name
    if not before:
        return
    name = crop_name(annotation, annotation.crop_sha256)
    source = home() / before
    if name == before or not source.is_file():
        return
    write_atomically(home() / name, source.read_bytes())
    Annotation.objects.filter(pk=annotation.pk).update(crop=name)
    annotation.crop.name = name
    remove_files([before])


def cut_missing(
    annotations: Iterable[Annotation], run: JobRun | None = None, n_before: int = 0
) -> int:
    """Cut the crops that are missing; return how many photos could not be read.

    A photo with several annotations is decoded once.
    """
    from finwave.ml.images import ImageError, open_image  # noqa: PLC0415 -- slow import

    by_photo: dict[int, list[Annotation]] = {}
    for annotation in annotations:
        by_photo.setdefault(annotation.photo_id, []).append(annotation)
    n_failed = 0
    for n_done, group in enumerate(by_photo.values(), start=1):
        if run is not None and run.should_stop():
            break
        photo = group[0].photo
        try:
            image = open_image(Path(photo.file.path))
            for annotation in group:
                store_crop(annotation, cut(image, box_of(annotation)))
        except (ImageError, OSError) as error:
            n_failed += 1
            logger.warning("photo=%s crop not cut: %s", photo.pk, error)
            if run is not None:
                run.log(f"{photo.original_name}: {error}", "warning")
        if run is not None:
            run.progress(n_before + n_done, n_failed=n_failed)
    return n_failed


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_files(names: Iterable[str]) -> None:
    """Remove crops' files once the present transaction has committed."""
    paths = [home() / name for name in names if name]

    def remove() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    if paths:
        transaction.on_commit(remove)
