from __future__ import annotations

import io
import struct
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from finwave.ml.images import (
    ImageError,
    ImageInfo,
    crop,
    decode_for,
    inspect_image,
    open_image,
    thumbnail_jpeg,
    write_jpeg,
)

ORIENTATION, MAKE, MODEL = 0x0112, 0x010F, 0x0110
EXIF_BLOCK, GPS_BLOCK, ORIGINAL, DIGITIZED = 0x8769, 0x8825, 0x9003, 0x9004


def corners(width: int = 64, height: int = 48) -> np.ndarray:
    """Red, green, blue and white quarters: left above, right above, and below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = (255, 255, 255)
    return image


def noise(width: int = 200, height: int = 150) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def save(picture: Image.Image, path: Path, **options) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("suffix", "file_format"),
    [("jpg", "JPEG"), ("png", "PNG"), ("tif", "TIFF"), ("webp", "WEBP")],
)
def test_formats_are_read(tmp_path, suffix, file_format):
    path = save(Image.fromarray(corners()), tmp_path / f"photo.{suffix}")

    image = open_image(path)
    info = inspect_image(path)

    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert image.flags["C_CONTIGUOUS"]
    assert np.abs(image.astype(int) - corners())[4::8, 4::8].max() < 30
    assert info == ImageInfo(64, 48, None, "", None, None, file_format)


def test_content_counts_not_the_name(tmp_path):
    path = tmp_path / "photo.jpg"
    save(Image.fromarray(corners()), path, format="PNG")

    assert inspect_image(path).format == "PNG"
    assert open_image(path).tolist() == corners().tolist()


def test_open_files_are_read_from_their_start(tmp_path):
    path = save(Image.fromarray(corners()), tmp_path / "photo.png")

    with path.open("rb") as file:
        file.seek(100)
        assert open_image(file).tolist() == corners().tolist()
        assert not file.closed


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation_turns_the_picture_upright(tmp_path, orientation, suffix):
    # How a camera stores an upright picture, by the definition of the tag: 0th row
    # and 0th column are at the visual top and left (1), top right (2), bottom right ...
    upright = corners()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(
        Image.fromarray(np.ascontiguousarray(stored)),
        tmp_path / f"photo.{suffix}",
        exif=exif,
    )

    image, info = open_image(path), inspect_image(path)
    reduced = decode_for(path, (16, 16))

    assert image.shape == upright.shape
    assert (info.width_px, info.height_px) == (64, 48)
    assert (reduced.width_px, reduced.height_px) == (64, 48)
    for picture in (image, reduced.image):
        height, width = picture.shape[:2]
        quarters = picture[height // 4 :: height // 2, width // 4 :: width // 2]
        assert np.abs(quarters[:2, :2].astype(int) - upright[12::24, 16::32]).max() < 30


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(Image.fromarray(corners()), tmp_path / "photo.png", exif=exif)

    assert open_image(path).tolist() == corners().tolist()


@pytest.mark.parametrize(
    ("mode", "stored", "seen"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (100, 0), (255, 255, 255)),  # see-through shows white paper
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("I;16", 0x80FF, (0x80, 0x80, 0x80)),
        ("I;16", 0xFFFF, (255, 255, 255)),
    ],
)
def test_modes_become_rgb(tmp_path, mode, stored, seen):
    path = save(Image.new(mode, (32, 24), stored), tmp_path / "photo.png")

    image = open_image(path)

    assert image.shape == (24, 32, 3)
    assert set(map(tuple, image.reshape(-1, 3).tolist())) == {seen}


def test_a_palette_with_transparency_is_laid_on_white(tmp_path):
    picture = Image.new("P", (32, 24), 1)
    picture.putpalette([9, 9, 9, 200, 100, 50])
    picture.paste(0, (0, 0, 16, 24))
    path = save(picture, tmp_path / "photo.png", transparency=0)

    image = open_image(path)

    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 31].tolist() == [200, 100, 50]


def test_cmyk_becomes_rgb(tmp_path):
    # Full cyan, no magenta and yellow, no black.
    path = save(
        Image.new("CMYK", (32, 24), (255, 0, 0, 0)), tmp_path / "photo.jpg", quality=95
    )

    assert open_image(path)[12, 16] == pytest.approx([0, 255, 255], abs=4)
    assert decode_for(path, (16, 16)).image[0, 0] == pytest.approx([0, 255, 255], abs=4)


def png_of(
    width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b""
) -> bytes:
    """A PNG by hand: its header says what we want, whatever the rows hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colour_keeps_the_upper_byte(tmp_path):
    row = b"\x00" + struct.pack(">3H", 0x80FF, 0x40FF, 0x10FF) * 16
    path = tmp_path / "photo.png"
    path.write_bytes(png_of(16, 16, depth=16, rows=row * 16))

    assert open_image(path)[0, 0].tolist() == [0x80, 0x40, 0x10]


def test_measured_values_are_refused(tmp_path):
    path = save(Image.new("F", (32, 24), 0.5), tmp_path / "depth.tif")

    with pytest.raises(ImageError, match="not a photograph"):
        open_image(path)


def test_32_bit_grey_is_refused(tmp_path):
    path = save(Image.new("I", (32, 24), 1 << 20), tmp_path / "depth.tif")

    with pytest.raises(ImageError, match="more than 16 bits"):
        open_image(path)


def frames(n: int, size: tuple[int, int] = (32, 24)) -> dict[str, object]:
    others = [Image.new("RGB", size, (40 * i, 0, 0)) for i in range(1, n)]
    return {"save_all": True, "append_images": others}


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_animations_are_refused(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    save(Image.new("RGB", (32, 24)), path, **frames(3))

    for read in (open_image, inspect_image):
        with pytest.raises(ImageError, match="animation"):
            read(path)


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    path = save(Image.new("RGB", (32, 24)), tmp_path / "scans.tif", **frames(3))

    with pytest.raises(ImageError, match="holds 3 pages"):
        open_image(path)


def test_a_tiff_with_a_preview_is_read(tmp_path):
    path = tmp_path / "scan.tif"
    save(Image.fromarray(corners()), path, **frames(2, size=(16, 16)))

    assert open_image(path).tolist() == corners().tolist()


def test_a_camera_jpeg_with_previews_is_read(tmp_path):
    path = tmp_path / "photo.jpg"
    save(Image.fromarray(corners()), path, format="MPO", **frames(2))

    assert inspect_image(path).format == "JPEG"
    assert open_image(path).shape == (48, 64, 3)


HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(200)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jpg", b"", "The file is empty."),
        ("a.jpg", b"three fins, much glare", "This is a text file"),
        ("a.jpg", b"GIF89a" + bytes(50), "This is a GIF"),
        ("a.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        ("a.jpg", b'<?xml version="1.0"?>\n<svg></svg>', "an SVG drawing"),
        ("a.jpg", b"<!DOCTYPE html><html></html>", "This is a web page"),
        ("a.png", b"%PDF-1.7\n", "This is a PDF"),
        ("a.png", b"PK\x03\x04" + bytes(50), "This is a ZIP archive"),
        ("a.png", b"BM" + bytes(50), "This is a BMP"),
        ("a.jpg", HEIC, "HEIC"),
        ("a.jpg", struct.pack(">I", 24) + b"ftypisom" + bytes(99), "This is a video"),
        ("a.jpg", b"RIFF" + bytes(4) + b"AVI " + bytes(99), "This is a video"),
        ("a.jpg", bytes(512), "not a picture that can be read"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(99), "damaged"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "damaged"),
        ("a.tif", b"II*\x00" + bytes(99), "damaged"),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBP" + bytes(99), "damaged"),
        ("a.NEF", b"II*\x00" + bytes(99), r"camera raw file \(.NEF\)"),
    ],
)
def test_what_is_no_photograph_is_refused_by_name(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)

    for read in (open_image, inspect_image):
        with pytest.raises(ImageError, match=sentence):
            read(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_truncated_files_are_refused_by_every_reader(tmp_path, suffix, share):
    whole = save(noise(), tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])

    for read in (
        open_image,
        inspect_image,
        lambda path: decode_for(path, (50, 50)),
        lambda path: thumbnail_jpeg(path, 50),
    ):
        with pytest.raises(ImageError, match="damaged"):
            read(path)


def test_a_progressive_jpeg_that_was_cut_is_refused(tmp_path):
    whole = save(noise(), tmp_path / "whole.jpg", progressive=True).read_bytes()
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ImageError, match="damaged"):
        inspect_image(path)


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path):
    content = bytearray(save(noise(), tmp_path / "photo.png").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "photo.png").write_bytes(content)

    with pytest.raises(ImageError, match="damaged"):
        inspect_image(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("size_wh", "sentence"),
    [
        ((15, 100), "15 × 100 pixels; each side needs at least 16"),
        ((100, 1), "each side needs at least 16"),
        ((30_001, 100), "no side may have more than 30000"),
        ((16_000, 10_000), "160 megapixels .* the limit is 150 megapixels"),
        ((25_000, 25_000), "far too large; the limit is 150 megapixels"),
        ((2**31 - 1, 2**31 - 1), "far too large"),
    ],
)
def test_absurd_dimensions_are_refused_before_decoding(tmp_path, size_wh, sentence):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(*size_wh))

    for read in (open_image, inspect_image, lambda path: decode_for(path, (64, 64))):
        with pytest.raises(ImageError, match=sentence):
            read(path)


def test_the_limit_can_be_lower(tmp_path):
    path = save(Image.fromarray(corners()), tmp_path / "photo.png")

    with pytest.raises(ImageError, match="0 megapixels"):
        open_image(path, max_pixels=3000)


def test_a_bomb_in_a_text_chunk_is_refused(tmp_path):
    whole = save(Image.fromarray(corners()), tmp_path / "p.png").read_bytes()
    data = b"Comment\0\0" + zlib.compress(bytes(200_000_000))
    kind = b"zTXt"
    chunk = struct.pack(">I", len(data)) + kind + data
    chunk += struct.pack(">I", zlib.crc32(kind + data))
    path = tmp_path / "bomb.png"
    path.write_bytes(whole[:33] + chunk + whole[33:])

    with pytest.raises(ImageError, match="damaged"):
        open_image(path)


def test_a_missing_file_is_the_callers_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "gone.jpg")


def with_exif(tmp_path, fill) -> Path:
    exif = Image.Exif()
    fill(exif)
    return save(Image.fromarray(corners()), tmp_path / "photo.jpg", exif=exif)


def test_time_camera_and_position_are_read(tmp_path):
    def fill(exif):
        exif[MAKE], exif[MODEL] = "NIKON CORPORATION\0", "NIKON D750"
        exif.get_ifd(EXIF_BLOCK)[ORIGINAL] = "2016:06:03 14:05:09"
        # 59° 30' 36" N, 1° 15' 0" W.
        exif.get_ifd(GPS_BLOCK).update(
            {1: "N", 2: (59.0, 30.0, 36.0), 3: "W", 4: (1.0, 15.0, 0.0)}
        )

    info = inspect_image(with_exif(tmp_path, fill))

    assert info.taken_at == datetime(2016, 6, 3, 14, 5, 9)
    assert info.camera == "NIKON CORPORATION NIKON D750"
    assert (info.latitude, info.longitude) == pytest.approx((59.51, -1.25))


def test_a_camera_that_repeats_its_maker_is_named_once(tmp_path):
    def fill(exif):
        exif[MAKE], exif[MODEL] = "Canon", "Canon EOS 90D"

    assert inspect_image(with_exif(tmp_path, fill)).camera == "Canon EOS 90D"


@pytest.mark.parametrize(
    ("original", "digitized", "taken_at"),
    [
        ("2016:06:03 14:05:09", "2020:01:01 00:00:00", datetime(2016, 6, 3, 14, 5, 9)),
        (None, "2016:06:03 14:05:09", datetime(2016, 6, 3, 14, 5, 9)),
        ("0000:00:00 00:00:00", None, None),
        ("0001:01:01 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("3 June 2016", None, None),
        ("2016:06:31 14:05:09", None, None),
        ("2016:06:03 14:05:09.25+02:00", None, datetime(2016, 6, 3, 14, 5, 9)),
    ],
)
def test_times_that_cannot_be_are_absent(tmp_path, original, digitized, taken_at):
    def fill(exif):
        block = exif.get_ifd(EXIF_BLOCK)
        for tag, text in ((ORIGINAL, original), (DIGITIZED, digitized)):
            if text is not None:
                block[tag] = text

    assert inspect_image(with_exif(tmp_path, fill)).taken_at == taken_at


def test_the_time_of_an_edit_is_not_the_time_of_the_shot(tmp_path):
    def fill(exif):
        exif[0x0132] = "2024:01:01 10:00:00"

    assert inspect_image(with_exif(tmp_path, fill)).taken_at is None


@pytest.mark.parametrize(
    "position",
    [
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},  # no fix
        {1: "N", 2: (59.0, 30.0, 36.0)},
        {1: "N", 2: (99.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)},
        {1: "N", 2: (IFDRational(1, 0),) * 3, 3: "E", 4: (1.0, 0.0, 0.0)},
    ],
)
def test_positions_that_cannot_be_are_absent(tmp_path, position):
    def fill(exif):
        exif.get_ifd(GPS_BLOCK).update(position)

    info = inspect_image(with_exif(tmp_path, fill))

    assert (info.latitude, info.longitude) == (None, None)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + bytes(40),
        b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40,
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 20,
        b"Exif\0\0" + b"rubbish" * 20,
    ],
)
def test_corrupt_exif_does_not_cost_the_photo(tmp_path, exif):
    path = save(Image.fromarray(corners()), tmp_path / "photo.jpg", exif=exif)

    info = inspect_image(path)

    assert (info.width_px, info.height_px, info.taken_at) == (64, 48, None)
    assert open_image(path).shape == (48, 64, 3)


@pytest.mark.parametrize("size_wh", [(1600, 900), (900, 1600), (1000, 1000)])
def test_decode_for_reduces_jpegs_but_never_below_the_fitted_size(tmp_path, size_wh):
    path = save(noise(*size_wh), tmp_path / "photo.jpg")
    scale = 200 / max(size_wh)

    decoded = decode_for(path, (200, 200))

    height, width = decoded.image.shape[:2]
    assert (decoded.width_px, decoded.height_px) == size_wh
    assert size_wh[0] * scale <= width < size_wh[0] / 2
    assert size_wh[1] * scale <= height < size_wh[1] / 2


def test_decode_for_leaves_small_and_other_files_whole(tmp_path):
    small = save(noise(200, 150), tmp_path / "photo.jpg")
    png = save(noise(800, 600), tmp_path / "photo.png")

    assert decode_for(small, (640, 640)).image.shape == (150, 200, 3)
    assert decode_for(png, (100, 100)).image.shape == (600, 800, 3)


def test_thumbnail_is_small_upright_and_without_metadata(tmp_path):
    def fill(exif):
        exif[ORIENTATION] = 6
        exif[MAKE] = "Canon"

    content = thumbnail_jpeg(with_exif(tmp_path, fill), 32)

    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (24, 32)
        assert not picture.getexif()


def test_thumbnail_does_not_enlarge(tmp_path):
    path = save(noise(40, 30), tmp_path / "photo.jpg")

    with Image.open(io.BytesIO(thumbnail_jpeg(path, 320))) as picture:
        assert picture.size == (40, 30)


def test_write_jpeg_to_a_path_and_to_a_buffer(tmp_path):
    path, buffer = tmp_path / "photo.jpg", io.BytesIO()

    write_jpeg(corners(), path)
    write_jpeg(corners(), buffer)

    assert path.read_bytes() == buffer.getvalue()
    assert np.abs(open_image(path).astype(int) - corners())[4::8, 4::8].max() < 30
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.jpg"]


def test_write_jpeg_leaves_nothing_behind_when_it_fails(tmp_path):
    with pytest.raises(ValueError, match="quality"):
        write_jpeg(corners(), tmp_path / "photo.jpg", quality="sharp")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("box", "shape", "first"),
    [
        ((0, 0, 64, 48), (48, 64, 3), [255, 0, 0]),
        ((31.5, 0, 33.5, 1), (1, 3, 3), [255, 0, 0]),  # every touched pixel
        ((32, 24, 1000, 1000), (24, 32, 3), [255, 255, 255]),
        ((-9, -9, 1, 1), (1, 1, 3), [255, 0, 0]),
    ],
)
def test_crop(box, shape, first):
    image = corners()

    cut_out = crop(image, box)

    assert cut_out.shape == shape
    assert cut_out[0, 0].tolist() == first
    assert not np.shares_memory(cut_out, image)


@pytest.mark.parametrize(
    "box", [(64, 0, 70, 9), (5, 5, 5, 9), (9, 9, 5, 5), (0, 0, float("nan"), 9), (1, 2)]
)
def test_crop_refuses_boxes_without_pixels(box):
    with pytest.raises(ValueError, match="box"):
        crop(corners(), box)


def test_full_resolution_photos(real_data):
    path = real_data / "fullres" / "SB19-1732-580.JPG"

    info = inspect_image(path)
    decoded = decode_for(path, (640, 640))

    assert info.taken_at == datetime(2019, 5, 20, 15, 8, 33)
    assert info.camera == "Canon EOS 50D"
    assert (info.width_px, info.height_px) == (3456, 2304)
    assert decoded.image.shape == (576, 864, 3)  # a quarter; an eighth were too small


def photographs() -> list[bytes]:
    """One small noisy photo in each format, with everything EXIF can hold."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Canon"
    exif.get_ifd(EXIF_BLOCK)[ORIGINAL] = "2016:06:03 14:05:09"
    exif.get_ifd(GPS_BLOCK).update({1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (1.0,)})
    kinds = [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("MPO", frames(2)),
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
    ]
    contents = []
    for file_format, options in kinds:
        buffer = io.BytesIO()
        noise(60, 40).save(buffer, file_format, exif=exif, **options)
        contents.append(buffer.getvalue())
    return contents


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_are_refused_in_words_or_read(seed):
    rng = np.random.default_rng(seed)
    for content in photographs():
        damaged = bytearray(content)
        # Headers decide most: half of the flips fall into the first 400 bytes.
        for limit in (400, len(damaged)):
            for place in rng.integers(0, min(limit, len(damaged)), 3):
                damaged[place] = rng.integers(0, 256)
        file = io.BytesIO(bytes(damaged))

        try:
            inspect_image(file)
        except ImageError:
            continue

        # What the import let in, detection and thumbnails can read.
        assert open_image(file).dtype == np.uint8
        assert decode_for(file, (16, 16)).image.dtype == np.uint8
        assert thumbnail_jpeg(file, 32)
