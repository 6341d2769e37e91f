from __future__ import annotations

import pytest

from populations.exceptions import PhotoRefused
from populations.models import Photo
from populations.services.photos import add_photo
from tests.factories.populations import EncounterFactory, PopulationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def population():
    return PopulationFactory()


@pytest.mark.parametrize(
    ("file_format", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("TIFF", ".tif"), ("WEBP", ".webp")],
)
def test_the_stored_name_ends_with_what_the_file_is(
    population, tmp_path, photo_bytes, file_format, suffix
):
    path = tmp_path / "photo.exe"
    path.write_bytes(photo_bytes(file_format=file_format))

    photo, is_new = add_photo(population=population, path=path, name="photo.exe")

    assert is_new
    assert photo.file.name.endswith(f"{photo.sha256}{suffix}")


def test_a_photo_is_stored_once_and_gains_an_encounter(
    population, tmp_path, photo_bytes
):
    path = tmp_path / "a.jpg"
    path.write_bytes(photo_bytes())
    encounter, other = EncounterFactory.create_batch(2, population=population)

    first, _ = add_photo(population=population, path=path, name="a.jpg")
    again, is_new = add_photo(
        population=population, path=path, name="b.jpg", encounter=encounter
    )
    add_photo(population=population, path=path, name="c.jpg", encounter=other)

    photo = Photo.objects.get()
    assert not is_new
    assert first == again == photo
    assert photo.original_name == "a.jpg"
    assert photo.encounter == encounter


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xe0cut"])
def test_what_is_no_photo_is_refused_and_nothing_is_stored(
    population, tmp_path, content, home
):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(PhotoRefused):
        add_photo(population=population, path=path, name="a.jpg")

    assert not Photo.objects.exists()
    assert not [p for p in (home / "populations").rglob("*") if p.is_file()]
