"""Which stored file answers a request for a picture, and as what it may be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from populations.models import Photo

# Served for the browser to show; everything else is handed out as a download, so
# that no upload is ever opened as a page.
INLINE_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
SIZES = ("thumb", "view", "original")


@dataclass(frozen=True, slots=True)
class Picture:
    name: str  # in the storage
    content_type: str
    download_as: str = ""  # empty: shown in place


def picture_of(photo: Photo, size: str) -> Picture | None:
    """Return the file that shows the photo at a size; None if there is none."""
    if size == "thumb":
        return Picture(photo.thumbnail.name or photo.view_name, "image/jpeg")
    if size == "view":
        return Picture(photo.view_name, "image/jpeg")
    if size == "original":
        return original_of(photo)
    return None


def original_of(photo: Photo) -> Picture:
    name = str(photo.file.name)
    content_type = INLINE_TYPES.get(PurePosixPath(name).suffix)
    if content_type:
        return Picture(name, content_type)
    return Picture(
        name,
        "application/octet-stream",
        download_as=PurePosixPath(photo.original_name).name or "photo",
    )
