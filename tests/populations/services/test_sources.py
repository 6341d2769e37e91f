from __future__ import annotations

import stat
import zipfile

import pytest

from populations.exceptions import ImportRefused, PhotoRefused
from populations.services import sources
from populations.services.sources import FolderSource, ZipSource, allowed_folder


@pytest.fixture
def zip_path(tmp_path):
    return tmp_path / "upload.zip"


def test_zip_lists_photos_and_tables_and_ignores_junk(zip_path):
    with zipfile.ZipFile(zip_path, "w") as archive:
        archive.writestr("seals/T1/a.jpg", b"a")
        archive.writestr("seals/labels.csv", b"filename\n")
        archive.writestr("seals/notes.docx", b"n")
        archive.writestr("__MACOSX/seals/T1/._a.jpg", b"x")
        archive.writestr("seals/.DS_Store", b"x")
        archive.mkdir("seals/T2")

    listing = ZipSource(zip_path).listing()

    assert listing.photos == {"seals/T1/a.jpg": 1}
    assert listing.tables == ["seals/labels.csv"]
    assert listing.others == ["seals/notes.docx"]
    assert listing.problems == []


def test_zip_refuses_hostile_entries_and_takes_the_rest(zip_path, tmp_path):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zip_path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.jpg", b"x")
        archive.writestr("/absolute.jpg", b"x")
        archive.writestr(link, b"/etc/passwd")
        archive.writestr("bomb.jpg", b"\0" * (sources.RATIO_FROM_BYTES + 1))
        archive.writestr("good.jpg", b"x")

    source = ZipSource(zip_path)
    listing = source.listing()

    assert list(listing.photos) == ["good.jpg"]
    assert {p.path for p in listing.problems} == {
        "../../escaped.jpg",
        "/absolute.jpg",
        "link.jpg",
        "bomb.jpg",
    }
    with pytest.raises(PhotoRefused), source.extracted("../../escaped.jpg"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["upload.zip"]


def test_zip_with_a_name_twice_keeps_the_first(zip_path):
    with zipfile.ZipFile(zip_path, "w") as archive:
        archive.writestr("a.jpg", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.jpg", b"second")

    source = ZipSource(zip_path)

    assert len(source.listing().problems) == 1
    with source.extracted("a.jpg") as path:
        assert path.read_bytes() == b"first"


def test_zip_entry_that_lies_about_its_size_is_refused(zip_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(sources, "READ_BYTES", 100)
    with zipfile.ZipFile(zip_path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"x" * 5000)
    source = ZipSource(zip_path)
    info = source.archive.getinfo("a.jpg")
    source.entries = {"a.jpg": info}

    with pytest.raises(PhotoRefused, match="larger"), source.extracted("a.jpg"):
        pass


def test_zip_entry_with_a_wrong_checksum_is_refused(zip_path):
    with zipfile.ZipFile(zip_path, "w") as archive:
        archive.writestr("a.jpg", b"content that is damaged")
    raw = zip_path.read_bytes()
    zip_path.write_bytes(raw.replace(b"damaged", b"damagee", 1))

    source = ZipSource(zip_path)

    with pytest.raises(PhotoRefused, match="damaged"), source.extracted("a.jpg"):
        pass


def test_an_error_of_the_user_of_an_entry_is_not_taken_for_a_damaged_zip(zip_path):
    with zipfile.ZipFile(zip_path, "w") as archive:
        archive.writestr("a.jpg", b"x")

    source = ZipSource(zip_path)

    with pytest.raises(OSError, match="disk full"), source.extracted("a.jpg"):
        raise OSError("disk full")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04broken"])
def test_zip_that_cannot_be_read_is_refused(zip_path, content):
    zip_path.write_bytes(content)

    with pytest.raises(ImportRefused):
        ZipSource(zip_path)


def test_zip_with_too_many_files_is_refused(zip_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    with zipfile.ZipFile(zip_path, "w") as archive:
        for n in range(3):
            archive.writestr(f"{n}.jpg", b"x")

    with pytest.raises(ImportRefused, match="more than 2 files"):
        ZipSource(zip_path).listing()


def test_folder_follows_no_link(tmp_path):
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"a")
    (root / "link.jpg").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)

    source = FolderSource(root)

    assert source.listing().photos == {"a.jpg": 1}
    with pytest.raises(PhotoRefused):
        source.path_of("link.jpg")
    with pytest.raises(PhotoRefused):
        source.path_of("folder/secret.jpg")
    with pytest.raises(PhotoRefused):
        source.path_of("../secret.jpg")


def test_allowed_folder_stays_inside_the_roots(tmp_path, settings):
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "survey").mkdir(parents=True)
    other.mkdir()
    (root / "way-out").symlink_to(other)
    settings.FINWAVE_IMPORT_ROOTS = [root]

    assert allowed_folder(str(root / "survey")) == root / "survey"
    for folder in (other, root / "way-out", root / "..", "/", "survey", root / "none"):
        with pytest.raises(ImportRefused):
            allowed_folder(str(folder))
