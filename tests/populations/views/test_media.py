from __future__ import annotations

import pytest

from populations.models import Photo
from populations.services.photos import add_photo
from tests.factories.populations import PhotoFactory
from tests.populations.conftest import assert_access

URL = "/populations/firth/photos/"


@pytest.fixture
def photo(team, photo_bytes, tmp_path) -> Photo:
    path = tmp_path / "a.jpg"
    path.write_bytes(photo_bytes(size_wh=(2000, 1000)))
    return add_photo(population=team.population, path=path, name="s/a.jpg")[0]


@pytest.mark.parametrize(
    ("size", "width"), [("thumb", 400), ("view", 1600), ("original", 2000)]
)
def test_pictures_are_served_for_this_browser_only(team, photo, size, width):
    from io import BytesIO

    from PIL import Image

    answer = team.client("viewer").get(f"{URL}{photo.pk}/file/{size}/")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Content-Disposition" not in answer
    assert Image.open(BytesIO(answer.content)).width == width


@pytest.mark.parametrize("size", ["thumb", "view", "original"])
def test_pictures_access(team, photo, size):
    assert_access(team, f"{URL}{photo.pk}/file/{size}/", "viewer")


def test_a_tiff_is_handed_out_as_a_download(team, photo_bytes, tmp_path):
    path = tmp_path / "scan.tif"
    path.write_bytes(photo_bytes(file_format="TIFF"))
    photo, _ = add_photo(population=team.population, path=path, name='x/sc"an.tif')

    answer = team.client("viewer").get(f"{URL}{photo.pk}/file/original/")

    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == r'attachment; filename="sc\"an.tif"'


def test_a_photo_named_like_a_page_is_served_as_what_it_is(team, photo_bytes, tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(photo_bytes())
    photo, _ = add_photo(population=team.population, path=path, name="page.html")

    answer = team.client("viewer").get(f"{URL}{photo.pk}/file/original/")

    assert answer["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize("size", ["huge", "..", "sqlite3"])
def test_other_sizes_do_not_exist(team, photo, size):
    assert team.client("viewer").get(f"{URL}{photo.pk}/file/{size}/").status_code == 404


def test_a_photo_whose_file_is_lost_is_not_found(team):
    photo = PhotoFactory(population=team.population)

    for size in ("thumb", "view", "original"):
        answer = team.client("viewer").get(f"{URL}{photo.pk}/file/{size}/")
        assert answer.status_code == 404
