"""Files to arrays and back: the only place where pictures are decoded or encoded.

An image is RGB, uint8, (H, W, 3), turned upright by its EXIF orientation. What cannot
be trusted is refused here with a sentence for the person who brought the file.
"""

from __future__ import annotations

import io
import math
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

Source: TypeAlias = Path | str | BinaryIO

# The largest camera backs in use make 150 megapixels; as RGB that is 450 MB.
MAX_PIXELS = 150_000_000
MIN_SIDE_PX = 16
MAX_SIDE_PX = 30_000

# Pillow's own guard, which knows no limit per call: warn at ours, raise at twice it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")

# These are TIFF inside, and would open as their postage-stamp preview.
# fmt: off
_CAMERA_RAW = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srw", ".x3f",
})
# fmt: on

# What Pillow's readers raise on damaged files, as found by feeding them such files.
_DAMAGE = (
    OSError,  # includes UnidentifiedImageError
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    AssertionError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)

# Transposition that turns a stored image upright, by EXIF orientation.
# Reference: EXIF 2.32 (CIPA DC-008), tag 0x0112.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


class ImageError(Exception):
    """A picture was refused; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a file says about itself.

    Attributes:
        width_px: After EXIF orientation.
        height_px: After EXIF orientation.
        taken_at: The camera's own clock, without a time zone, if it was recorded.
        camera: Maker and model, "" if unknown.
        latitude: Degrees, north positive.
        longitude: Degrees, east positive.
        format: "JPEG", "PNG", "TIFF" or "WEBP", by content.
    """

    width_px: int
    height_px: int
    taken_at: datetime | None
    camera: str
    latitude: float | None
    longitude: float | None
    format: str


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A photo decoded no larger than needed, and the size of the whole of it.

    Attributes:
        image: (h, w, 3) uint8 RGB, upright; possibly reduced.
        width_px: Of the full photo, upright.
        height_px: Of the full photo, upright.
    """

    image: NDArray[np.uint8]
    width_px: int
    height_px: int


def open_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the picture in a file, upright.

    Transparency is laid on white; 16-bit grey keeps its upper 8 bits; CMYK becomes
    RGB; of a TIFF with a smaller second page (a preview) the first is taken.

    Args:
        source: Path, or binary file positioned anywhere.
        max_pixels: Refuse pictures with more, before decoding; at most `MAX_PIXELS`.

    Returns:
        (H, W, 3) RGB, uint8, C-contiguous and writable.

    Raises:
        ImageError: If the file is not a JPEG, PNG, TIFF or WebP photograph, is
            damaged or cut off, animated, or too large or small. Says which.
        OSError: If the path cannot be opened at all.
    """
    with _opened(source, max_pixels=max_pixels) as picture:
        return np.array(_upright_rgb(picture))


def decode_for(
    source: Source, long_side_wh: tuple[int, int], *, max_pixels: int = MAX_PIXELS
) -> DecodedPhoto:
    """Return a photo decoded just large enough to be fitted into a rectangle.

    JPEGs are reduced while decoding (by 2, 4 or 8), never below the fitted size in
    either direction; the small image is then turned upright. Others decode in full.

    Args:
        source: Path, or binary file positioned anywhere.
        long_side_wh: Width and height of the rectangle, in the upright frame.
        max_pixels: As for `open_image`.

    Returns:
        The image and the full upright size. Coordinates of the one map to the other
        by the ratios of the sides.

    Raises:
        ImageError: As for `open_image`.
        OSError: If the path cannot be opened at all.

    Note:
        12 megapixels take about 27 ms instead of 60 to 80: entropy decoding is the
        floor.
    """
    with _opened(source, max_pixels=max_pixels) as picture:
        orientation = _orientation(picture)
        width, height = _upright_wh(picture.size, orientation)
        scale = min(long_side_wh[0] / width, long_side_wh[1] / height)
        if scale < 1:
            fitted = (math.ceil(width * scale), math.ceil(height * scale))
            picture.draft(None, _upright_wh(fitted, orientation))
        return DecodedPhoto(np.array(_upright_rgb(picture)), width, height)


def inspect_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Return what a file says about itself, having decoded it to its last byte.

    Args:
        source: Path, or binary file positioned anywhere.
        max_pixels: As for `open_image`.

    Returns:
        Size, time, camera, position. Corrupt EXIF counts as absent; the time of the
        last change (tag 0x0132) is not taken for the time of the shot.

    Raises:
        ImageError: As for `open_image`.
        OSError: If the path cannot be opened at all.
    """
    with _file(source) as file, _opened_file(file, max_pixels) as picture:
        exif = _exif(picture)
        orientation = _orientation(picture)
        width, height = _upright_wh(picture.size, orientation)
        file_format = "JPEG" if picture.format == "MPO" else str(picture.format)
        # Reading all entropy-coded data finds any cut; the smallest scale suffices.
        picture.draft(None, (1, 1))
        _to_rgb(picture)
        if file_format == "PNG":
            _verify_checksums(file)
        latitude, longitude = _position(exif)
        return ImageInfo(
            width_px=width,
            height_px=height,
            taken_at=_taken_at(exif),
            camera=_camera(exif),
            latitude=latitude,
            longitude=longitude,
            format=file_format,
        )


def write_jpeg(
    image: NDArray[np.uint8], target: Path | BinaryIO, quality: int = 90
) -> None:
    """Write an image as JPEG without metadata.

    Args:
        image: (H, W, 3) RGB, uint8.
        target: Path, which gets the whole file or nothing, or a binary file.
        quality: 1 to 95.
    """
    picture = Image.fromarray(image)
    if not isinstance(target, Path):
        picture.save(target, "JPEG", quality=quality)
        return
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            picture.save(file, "JPEG", quality=quality)
        # mkstemp makes files private; others get what the umask allows elsewhere.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def thumbnail_jpeg(source: Source, long_side_px: int) -> bytes:
    """Return a small upright JPEG of a photo, without metadata.

    Args:
        source: Path, or binary file positioned anywhere.
        long_side_px: Of the thumbnail; smaller photos are not enlarged.

    Raises:
        ImageError: As for `open_image`.
        OSError: If the path cannot be opened at all.
    """
    # Twice the size leaves the resampling filter something to average.
    decoded = decode_for(source, (2 * long_side_px, 2 * long_side_px))
    picture = Image.fromarray(decoded.image)
    scale = min(1.0, long_side_px / max(decoded.width_px, decoded.height_px))
    size_wh = (
        max(1, round(decoded.width_px * scale)),
        max(1, round(decoded.height_px * scale)),
    )
    buffer = io.BytesIO()
    small = picture.resize(size_wh, Image.Resampling.BICUBIC)
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def crop(image: NDArray[np.uint8], box_xyxy: tuple[float, ...]) -> NDArray[np.uint8]:
    """Return the cut-out of a box, every touched pixel included.

    Args:
        image: (H, W, 3) uint8.
        box_xyxy: x1, y1, x2, y2 in pixels of the image, half-open; what lies outside
            the image is left out.

    Returns:
        (h, w, 3) uint8, a copy, so that the large image can be let go.

    Raises:
        ValueError: If the box is not finite or touches no pixel of the image.
    """
    if len(box_xyxy) != 4 or not all(math.isfinite(side) for side in box_xyxy):
        raise ValueError(f"a box has four finite sides, not {box_xyxy}")
    height, width = image.shape[:2]
    left, top = max(0, math.floor(box_xyxy[0])), max(0, math.floor(box_xyxy[1]))
    right, bottom = (
        min(width, math.ceil(box_xyxy[2])),
        min(height, math.ceil(box_xyxy[3])),
    )
    if left >= right or top >= bottom:
        raise ValueError(f"box {box_xyxy} touches no pixel of {width} x {height}")
    return image[top:bottom, left:right].copy()


@contextmanager
def _file(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, str | Path):
        _refuse_camera_raw(Path(source))
        with Path(source).open("rb") as file:
            yield file
    else:
        yield source


@contextmanager
def _opened(source: Source, *, max_pixels: int) -> Iterator[Image.Image]:
    """Yield a checked, not yet decoded picture; damage inside becomes ImageError."""
    with _file(source) as file, _opened_file(file, max_pixels) as picture:
        yield picture


@contextmanager
def _opened_file(file: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if not head:
        raise ImageError("The file is empty.")
    try:
        # Pillow warns about what is refused below or tolerated on purpose.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as picture:
                _check_size(picture.size, max_pixels)
                _refuse_several(picture)
                yield picture
    except ImageError:
        raise
    except Image.DecompressionBombError as err:
        raise ImageError(_too_many_pixels(None, max_pixels)) from err
    except UnidentifiedImageError as err:
        raise ImageError(_what_it_is(head)) from err
    except MemoryError as err:
        raise ImageError(
            "The picture needs more memory than this machine has free. "
            "Save it smaller and try again."
        ) from err
    except _DAMAGE as err:
        raise ImageError(
            "The file is damaged or cut off: it could not be read to its end. "
            "Copy it again from the original card or disk."
        ) from err


def _verify_checksums(file: BinaryIO) -> None:
    """Raise SyntaxError if a PNG's data changed: decoding alone may not notice."""
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as picture:
        picture.verify()


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    width, height = size_wh
    if min(size_wh) < MIN_SIDE_PX:
        raise ImageError(
            f"The picture is {width} × {height} pixels; "
            f"each side needs at least {MIN_SIDE_PX}."
        )
    if max(size_wh) > MAX_SIDE_PX:
        raise ImageError(
            f"The picture is {width} × {height} pixels; "
            f"no side may have more than {MAX_SIDE_PX}."
        )
    if width * height > max_pixels:
        raise ImageError(_too_many_pixels(size_wh, max_pixels))


def _too_many_pixels(size_wh: tuple[int, int] | None, max_pixels: int) -> str:
    limit = f"the limit is {max_pixels / 1e6:g} megapixels"
    if size_wh is None:
        return f"The picture is far too large; {limit}."
    width, height = size_wh
    return (
        f"The picture has {width * height / 1e6:.0f} megapixels "
        f"({width} × {height}); {limit}."
    )


def _refuse_several(picture: Image.Image) -> None:
    """Refuse animations, and documents whose later pages would be lost."""
    n_frames = getattr(picture, "n_frames", 1)
    # An MPO is a JPEG photograph followed by previews or a second eye's view.
    if n_frames == 1 or picture.format == "MPO":
        return
    if picture.format != "TIFF":
        raise ImageError(
            "This is an animation, not a photograph. Save the frame you need as JPEG."
        )
    size_wh = picture.size
    for page in range(1, min(n_frames, 16)):
        picture.seek(page)
        if picture.size[0] * picture.size[1] >= size_wh[0] * size_wh[1]:
            raise ImageError(
                f"This TIFF holds {n_frames} pages. Save each as a file of its own."
            )
    picture.seek(0)


def _refuse_camera_raw(path: Path) -> None:
    if path.suffix.lower() in _CAMERA_RAW:
        raise ImageError(
            f"This is a camera raw file ({path.suffix}). Export it as JPEG first."
        )


def _what_it_is(head: bytes) -> str:
    """Say in words what a file is that is none of the formats read here."""
    wanted = "Only JPEG, PNG, TIFF and WebP photographs can be read."
    lead = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kinds = {
        "a GIF": head.startswith(b"GIF8"),
        "a PDF document": head.startswith(b"%PDF"),
        "a ZIP archive or office document": head.startswith(b"PK\x03\x04"),
        "a BMP picture": head.startswith(b"BM"),
        "a Photoshop file": head.startswith(b"8BPS"),
        "an SVG drawing": lead.startswith(b"<svg") or b"<svg" in lead,
        "a web page": lead.startswith((b"<!doctype html", b"<html")),
        "a HEIC or AVIF picture": head[4:8] == b"ftyp"
        and head[8:12] in {b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif"},
        "a video": head[4:8] == b"ftyp" or head[8:12] == b"AVI ",
    }
    kind = next((name for name, is_it in kinds.items() if is_it), None)
    if kind:
        return f"This is {kind}, whatever its name says. {wanted}"
    if head.startswith((b"\xff\xd8", b"\x89PNG", b"II*\0", b"MM\0*", b"RIFF")):
        return (
            "The file is damaged: it begins like a picture, but its header cannot be "
            "read. Copy it again from the original card or disk."
        )
    if all(byte in b"\t\r\n\f" or 32 <= byte < 127 for byte in head):
        return f"This is a text file, whatever its name says. {wanted}"
    return f"This is not a picture that can be read. {wanted}"


def _upright_rgb(picture: Image.Image) -> Image.Image:
    orientation = _orientation(picture)
    rgb = _to_rgb(picture)
    transposition = _UPRIGHT.get(orientation)
    return rgb if transposition is None else rgb.transpose(transposition)


def _upright_wh(size_wh: tuple[int, int], orientation: int) -> tuple[int, int]:
    width, height = size_wh
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Decode, and return 8-bit RGB whatever was stored."""
    picture.load()
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I"):
        return _from_integers(picture)
    if picture.mode == "F":
        raise ImageError(
            "This TIFF holds measured values with decimals, not a photograph. "
            "Export it as an 8-bit picture."
        )
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return picture.convert("RGB")


def _from_integers(picture: Image.Image) -> Image.Image:
    """Return 16-bit grey as 8-bit RGB by its upper byte; convert() would clip it."""
    grey = np.asarray(picture)
    if grey.min() < 0 or grey.max() > 65_535:
        raise ImageError(
            "This picture holds more than 16 bits a pixel. "
            "Export it as an 8-bit picture."
        )
    return Image.fromarray((grey.astype(np.uint16) >> 8).astype(np.uint8)).convert(
        "RGB"
    )


def _exif(picture: Image.Image) -> Image.Exif:
    try:
        return picture.getexif()
    except _DAMAGE:
        return Image.Exif()


def _orientation(picture: Image.Image) -> int:
    value = _exif(picture).get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _block(exif: Image.Exif, tag: int) -> dict[int, object]:
    try:
        return dict(exif.get_ifd(tag))
    except _DAMAGE:
        return {}


def _taken_at(exif: Image.Exif) -> datetime | None:
    block = _block(exif, ExifTags.IFD.Exif)
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        text = _text(block.get(tag))[:19]
        try:
            taken_at = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        # Photography began in 1826; a clock that was never set says year 0 or 1.
        if taken_at.year >= 1826:
            return taken_at
    return None


def _camera(exif: Image.Exif) -> str:
    maker = _text(exif.get(ExifTags.Base.Make))
    model = _text(exif.get(ExifTags.Base.Model))
    # Many makers repeat themselves: "Canon" "Canon EOS 90D".
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return name.strip()[:120]


def _position(exif: Image.Exif) -> tuple[float | None, float | None]:
    block = _block(exif, ExifTags.IFD.GPSInfo)
    latitude = _degrees(
        block.get(ExifTags.GPS.GPSLatitude), block.get(ExifTags.GPS.GPSLatitudeRef), 90
    )
    longitude = _degrees(
        block.get(ExifTags.GPS.GPSLongitude),
        block.get(ExifTags.GPS.GPSLongitudeRef),
        180,
    )
    # Receivers without a fix write zeros; nobody photographs at 0, 0 by the metre.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None
    return latitude, longitude


def _degrees(value: object, hemisphere: object, limit: int) -> float | None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        return None
    try:
        degrees = math.fsum(float(part) / 60**i for i, part in enumerate(value))
    except _DAMAGE:
        return None
    if not math.isfinite(degrees) or not 0 <= degrees <= limit:
        return None
    return -degrees if _text(hemisphere).upper() in {"S", "W"} else degrees


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return ""
    printable = "".join(char for char in value if char.isprintable())
    return printable.strip()
