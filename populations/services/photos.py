"""Storing photographs: the original, what pages show of it, and its row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from populations.exceptions import PhotoRefused
from populations.models import Encounter, ImportBatch, Photo, Population
from populations.models.photos import photo_path, thumbnail_path

if TYPE_CHECKING:
    from finwave.ml.images import ImageInfo

THUMBNAIL_PX = 400
VIEW_PX = 1600

# What Pillow calls a format -> how the stored file is to end.
SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "TIFF": ".tif",
    "WEBP": ".webp",
}


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo whose files are stored; `photo` is the row, saved or not yet."""

    photo: Photo
    is_new: bool


def add_photo(
    *,
    population: Population,
    path: Path,
    name: str,
    encounter: Encounter | None = None,
    import_batch: ImportBatch | None = None,
) -> tuple[Photo, bool]:
    """Store the photo at `path` and return its row, and whether it is new.

    A photo with the same content, anywhere in the population, is returned as it is
    (an encounter is given to it when it had none). For workers: it decodes the file.
    Not to be called inside a transaction. Safe to repeat after a kill at any point.

    Raises:
        PhotoRefused: with a sentence for the user, if the file is no usable photo.
    """
    stored = store_photo(population=population, path=path, name=name)
    with transaction.atomic():
        return record_photo(
            stored=stored, encounter=encounter, import_batch=import_batch
        )


def store_photo(*, population: Population, path: Path, name: str) -> StoredPhoto:
    """Verify a file and write original, view and thumbnail; write no row.

    Raises:
        PhotoRefused: if the file is no usable photo.
    """
    sha256 = hash_file(path)
    known = Photo.objects.filter(population=population, sha256=sha256).first()
    if known:
        return StoredPhoto(known, is_new=False)
    info = inspect(path)
    photo = Photo(
        population=population,
        original_name=name[-400:],
        sha256=sha256,
        width_px=info.width_px,
        height_px=info.height_px,
        size_bytes=path.stat().st_size,
        taken_at=as_aware(info.taken_at),
        camera=info.camera[:120],
        latitude=info.latitude,
        longitude=info.longitude,
    )
    photo.file.name = store(
        photo_path(photo, f"photo{SUFFIXES.get(info.format, '.bin')}"), path
    )
    write_views(photo, path)
    return StoredPhoto(photo, is_new=True)


def record_photo(
    *,
    stored: StoredPhoto,
    encounter: Encounter | None,
    import_batch: ImportBatch | None = None,
) -> tuple[Photo, bool]:
    """Write the row of a stored photo; call it inside a transaction."""
    photo = stored.photo
    if not stored.is_new:
        if encounter and photo.encounter_id is None:
            photo.encounter = encounter
            photo.save(update_fields=["encounter"])
        return photo, False
    photo.encounter = encounter
    photo.import_batch = import_batch
    # Another worker may have stored the same content meanwhile.
    known = Photo.objects.filter(
        population=photo.population, sha256=photo.sha256
    ).first()
    if known:
        return record_photo(
            stored=StoredPhoto(known, is_new=False), encounter=encounter
        )
    photo.save()
    return photo, True


def inspect(path: Path) -> ImageInfo:
    from finwave.ml.images import (  # noqa: PLC0415 -- workers only
        ImageError,
        inspect_image,
    )

    try:
        return inspect_image(path)
    except ImageError as error:
        raise PhotoRefused(str(error)) from error


def write_views(photo: Photo, path: Path) -> None:
    """Make the pictures that pages show, so that no request ever decodes a photo."""
    from finwave.ml.images import (  # noqa: PLC0415 -- workers only
        ImageError,
        thumbnail_jpeg,
    )

    try:
        view = thumbnail_jpeg(path, VIEW_PX)
        thumbnail = thumbnail_jpeg(path, THUMBNAIL_PX)
    except ImageError as error:
        raise PhotoRefused(str(error)) from error
    store_bytes(photo.view_name, view)
    photo.thumbnail.name = store_bytes(thumbnail_path(photo, ""), thumbnail)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store(name: str, path: Path) -> str:
    """Copy a file to a content-addressed name, unless it lies there already."""
    if default_storage.exists(name):
        if default_storage.size(name) == path.stat().st_size:
            return name
        # What a killed worker had begun to write.
        default_storage.delete(name)
    with path.open("rb") as file:
        return default_storage.save(name, File(file))


def store_bytes(name: str, content: bytes) -> str:
    if default_storage.exists(name):
        default_storage.delete(name)
    return default_storage.save(name, ContentFile(content))


def as_aware(moment: datetime | None) -> datetime | None:
    """Take a camera's clock, which knows no time zone, as local time."""
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)
