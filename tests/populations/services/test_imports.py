from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from finwave import home
from finwave.jobs.models import Job
from populations.exceptions import ImportRefused
from populations.models import ImportBatch, ImportFile, Photo
from populations.services import imports, sources
from populations.services.imports import Said, Uploads
from tests.factories.populations import (
    EncounterFactory,
    IndividualFactory,
    PopulationFactory,
)


def upload(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def folder_of(files: dict[str, bytes]) -> Uploads:
    return Uploads(
        files=[(path, upload("x", content)) for path, content in files.items()],
        zip_file=None,
        table=None,
    )


def zip_of(files: dict[str, bytes]) -> Uploads:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return Uploads(files=[], zip_file=upload("x.zip", buffer.getvalue()), table=None)


@pytest.fixture
def population(db):
    return PopulationFactory(code_pattern=r"T\d{3}")


def opened(population, user, uploads, source="folder", label_kind="folders"):
    return imports.open_import(
        population=population,
        user=user,
        said=Said(source=source, label_kind=label_kind, uploads=uploads),
    )


def test_open_import_previews_and_writes_nothing(population, user, photo_bytes):
    IndividualFactory(population=population, code="T001")
    EncounterFactory(population=population, name="E1")
    table = (
        b"filename,individual,encounter\n"
        b"a.jpg,T001,E1\nb.jpg,T002,E2\nc.jpg,bad code,E2\ngone.jpg,T003,\n"
    )
    uploads = zip_of(
        {
            **{f"s/{n}.jpg": photo_bytes(i) for i, n in enumerate("abcd")},
            "s/labels.csv": table,
            "s/film.mov": b"m",
        }
    )

    batch = opened(population, user, uploads, "zip", "csv")

    preview = batch.preview
    assert batch.status == ImportBatch.Status.PREVIEW
    assert preview["n_photos"] == 4
    assert preview["n_known_individuals"] == 1
    assert preview["new_individuals"] == ["T002"]
    assert preview["n_known_encounters"] == preview["n_new_encounters"] == 1
    assert preview["n_unlabelled"] == preview["n_refused"] == preview["n_missing"] == 1
    assert preview["others"] == ["s/film.mov"]
    assert [(p["row"], p["path"]) for p in preview["problems"]] == [
        (5, "gone.jpg"),
        (None, "s/c.jpg"),
    ]
    assert batch.mapping["columns"]["filename"] == "filename"
    assert (
        Photo.objects.count() == ImportFile.objects.count() == Job.objects.count() == 0
    )


def test_open_import_warns_of_codes_that_differ_in_capitals_only(user, photo_bytes):
    population = PopulationFactory()
    IndividualFactory(population=population, code="Batmina")

    batch = opened(population, user, folder_of({"s/batmina/a.jpg": photo_bytes()}))

    (problem,) = batch.preview["problems"]
    assert "differ only in capitals" in problem["message"]


def test_alternative_codes_count_as_known(population, user, photo_bytes):
    individual = IndividualFactory(population=population, code="T001")
    individual.aliases.create(code="Old name")

    batch = opened(population, user, folder_of({"s/Old name/a.jpg": photo_bytes()}))

    assert batch.preview["n_known_individuals"] == 1
    assert batch.preview["n_refused"] == 0


def test_open_import_refuses_a_broken_zip_and_leaves_nothing(population, user):
    uploads = Uploads(files=[], zip_file=upload("x.zip", b"no zip"), table=None)

    with pytest.raises(ImportRefused, match="cannot be read"):
        opened(population, user, uploads, "zip")

    assert not ImportBatch.objects.exists()
    assert not any((home.home() / "staging").glob("*"))


def test_open_import_from_the_server_is_for_staff_and_allowed_folders(
    population, user, settings, tmp_path
):
    settings.FINWAVE_IMPORT_ROOTS = [tmp_path]
    said = Said(
        source="server",
        label_kind="folders",
        uploads=Uploads([], None, None),
        server_folder=str(tmp_path),
    )

    with pytest.raises(ImportRefused, match="Only staff"):
        imports.open_import(population=population, user=user, said=said)
    user.is_staff = True
    batch = imports.open_import(population=population, user=user, said=said)

    assert batch.server_folder == str(tmp_path)
    settings.FINWAVE_IMPORT_ROOTS = []
    with pytest.raises(ImportRefused, match="not inside"):
        imports.prepare_preview(batch=batch)


def test_staging_keeps_every_file_inside_its_folder(population, user, photo_bytes):
    batch = opened(population, user, folder_of({"T001/a.jpg": photo_bytes()}))

    refused = imports.stage_uploads(
        batch=batch,
        said=folder_of(
            {
                "../../out.jpg": b"x",
                "/etc/out.jpg": b"x",
                "T001/a.jpg/inside.jpg": b"x",
                "T001/b.jpg": b"x",
                "T001/Thumbs.db": b"x",
            }
        ),
    )

    assert set(refused) == {"../../out.jpg", "/etc/out.jpg", "T001/a.jpg/inside.jpg"}
    staged = sources.staged_files(batch)
    files = {p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file()}
    assert files == {"T001/a.jpg", "T001/b.jpg"}
    assert not list(home.home().rglob("out.jpg"))


def test_another_choice_of_columns_is_previewed_again(population, user, photo_bytes):
    table = b"bild,tier\na.jpg,T001\n"
    uploads = folder_of({"a.jpg": photo_bytes(), "labels.csv": table})
    batch = opened(population, user, uploads, label_kind="csv")
    assert "names of the files" in batch.preview["blocker"]

    batch.mapping = {"columns": {"filename": "bild", "individual": "tier"}}
    imports.prepare_preview(batch=batch)

    assert batch.preview["blocker"] == ""
    assert batch.preview["new_individuals"] == ["T001"]


def test_start_import_refuses_labels_that_cannot_be_read(population, user, photo_bytes):
    batch = opened(
        population, user, folder_of({"a.jpg": photo_bytes()}), label_kind="csv"
    )

    with pytest.raises(ImportRefused, match="no CSV file"):
        imports.start_import(batch=batch, user=user)

    assert not Job.objects.exists()


def test_start_import_writes_a_row_a_photo_and_one_job(population, user, photo_bytes):
    batch = opened(
        population, user, folder_of({"T001/a.jpg": photo_bytes(), "T002/b.jpg": b"x"})
    )

    job = imports.start_import(batch=batch, user=user)

    assert job.n_total == 2
    assert list(batch.files.values_list("path", "outcome")) == [
        ("T001/a.jpg", "waiting"),
        ("T002/b.jpg", "waiting"),
    ]
    with pytest.raises(ImportRefused, match="started already"):
        imports.start_import(batch=ImportBatch.objects.get(pk=batch.pk), user=user)
    assert Job.objects.count() == 1


def test_start_import_refuses_an_empty_folder(population, user):
    batch = opened(population, user, folder_of({"notes.docx": b"x"}))

    with pytest.raises(ImportRefused, match="no photograph"):
        imports.start_import(batch=batch, user=user)


def test_start_import_refuses_what_the_disk_cannot_hold(population, user, photo_bytes):
    batch = opened(population, user, folder_of({"T001/a.jpg": photo_bytes()}))
    batch.preview["n_bytes"] = 10**18

    with pytest.raises(ImportRefused, match="Make room"):
        imports.start_import(batch=batch, user=user)


def test_a_started_import_takes_no_more_files(population, user, photo_bytes):
    batch = opened(population, user, folder_of({"T001/a.jpg": photo_bytes()}))
    imports.start_import(batch=batch, user=user)
    batch.refresh_from_db()

    with pytest.raises(ImportRefused, match="has started"):
        imports.stage_uploads(batch=batch, said=folder_of({"T001/b.jpg": b"x"}))
    with pytest.raises(ImportRefused, match="has started"):
        imports.prepare_preview(batch=batch)
    with pytest.raises(ImportRefused, match="still at work"):
        imports.retry_import(batch=batch, user=user)
    with pytest.raises(ImportRefused, match="still at work"):
        imports.discard_batch(batch=batch)


def test_discarding_an_unstarted_import_removes_it(population, user, photo_bytes):
    batch = opened(population, user, folder_of({"T001/a.jpg": photo_bytes()}))
    folder = Path(home.staging_folder(batch.pk))

    imports.discard_batch(batch=batch)

    assert not ImportBatch.objects.exists()
    assert not folder.exists()
