from __future__ import annotations

import csv
import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from populations.models import ImportBatch, ImportFile, Photo
from populations.services import sources
from tests.factories.populations import ImportBatchFactory, PhotoFactory
from tests.populations.conftest import assert_access

URL = "/populations/firth/imports/"


def zip_file(files: dict[str, bytes]) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return SimpleUploadedFile("photos.zip", buffer.getvalue())


def test_a_zip_is_previewed_started_and_imported(team, photo_bytes):
    client = team.client("trainer")
    answer = client.post(
        f"{URL}new/",
        {
            "source": "zip",
            "labels": "folders",
            "zip_file": zip_file(
                {"s/T1/a.jpg": photo_bytes(1), "s/T2/b.jpg": b"broken"}
            ),
        },
    )
    batch = ImportBatch.objects.get()
    assert answer.url == f"{URL}{batch.pk}/"

    preview = client.get(answer.url).content.decode()
    assert "T1, T2" in preview
    assert "Import 2 photographs" in preview
    assert not Photo.objects.exists()

    assert client.post(f"{answer.url}start/").url == answer.url
    run_job(Job.objects.get().pk)

    page = client.get(answer.url).content.decode()
    assert "s/T1/a.jpg" in page
    assert "Try the 1 left again" in page
    refused = client.get(f"{answer.url}?outcome=refused").content.decode()
    assert "s/T1/a.jpg" not in refused
    assert "s/T2/b.jpg" in refused


def test_files_are_taken_without_a_script(team, photo_bytes):
    answer = team.client("trainer").post(
        f"{URL}new/",
        {
            "source": "folder",
            "labels": "csv",
            "photos": [
                SimpleUploadedFile("a.jpg", photo_bytes(1)),
                SimpleUploadedFile("b.jpg", photo_bytes(2)),
            ],
            "table": SimpleUploadedFile("x.csv", b"filename,individual\na.jpg,T1\n"),
            "is_already_cropped": "on",
        },
    )

    batch = ImportBatch.objects.get()
    assert answer.status_code == 302
    assert batch.is_already_cropped
    assert batch.preview["n_photos"] == 2
    assert batch.preview["new_individuals"] == ["T1"]


def test_a_script_sends_files_with_their_paths_one_after_the_other(team, photo_bytes):
    client = team.client("trainer")
    opened = client.post(
        f"{URL}new/", {"source": "folder", "labels": "folders", "is_collecting": "on"}
    )
    batch = ImportBatch.objects.get()
    assert batch.status == ImportBatch.Status.STAGING
    assert "broke off" in client.get(opened.url).content.decode()

    for path in ("s/T1/a.jpg", "s/T2/a.jpg", "../../evil.jpg"):
        answer = client.post(
            f"{opened.url}files/",
            {"photos": [SimpleUploadedFile("a.jpg", photo_bytes())], "paths": [path]},
        )
    assert answer.json() == {"refused": {"../../evil.jpg": "Its name cannot be used."}}
    client.post(f"{opened.url}preview/")

    batch.refresh_from_db()
    assert batch.preview["n_photos"] == 2
    assert batch.preview["new_individuals"] == ["T1", "T2"]
    staged = sources.staged_files(batch)
    assert (staged / "s/T1/a.jpg").read_bytes() == photo_bytes()


def test_columns_are_chosen_on_the_preview(team, photo_bytes):
    client = team.client("trainer")
    opened = client.post(
        f"{URL}new/",
        {
            "source": "zip",
            "labels": "csv",
            "zip_file": zip_file(
                {"a.jpg": photo_bytes(), "l.csv": b"bild;tier\na.jpg;T7\n"}
            ),
        },
    )
    assert "names of the files" in client.get(opened.url).content.decode()
    assert "Import 1 photograph" not in client.get(opened.url).content.decode()

    client.post(
        f"{opened.url}preview/",
        {
            "labels": "csv",
            "table_name": "l.csv",
            "column_filename": "bild",
            "column_individual": "tier",
        },
    )

    page = client.get(opened.url).content.decode()
    assert "New: T7" in page
    assert "Import 1 photograph" in page


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "folder"}, "Choose the photographs"),
        ({"source": "zip"}, "Choose the ZIP file"),
        (
            {"source": "zip", "zip_file": SimpleUploadedFile("x.zip", b"no zip")},
            "cannot be read",
        ),
        ({"source": "server", "server_folder": "/etc"}, "not one of the available"),
        ({"source": "mars"}, "not one of the available"),
    ],
)
def test_what_is_missing_or_wrong_is_said(team, data, words):
    answer = team.client("trainer").post(f"{URL}new/", {"labels": "none", **data})

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not ImportBatch.objects.exists()


def test_staff_import_from_allowed_folders_of_the_server(
    team, settings, tmp_path, photo_bytes
):
    (tmp_path / "a.jpg").write_bytes(photo_bytes())
    settings.FINWAVE_IMPORT_ROOTS = [tmp_path]
    team.trainer.is_staff = True
    team.trainer.save()
    client = team.client("trainer")
    data = {"source": "server", "labels": "none"}

    refused = client.post(f"{URL}new/", {**data, "server_folder": "/etc"})
    taken = client.post(f"{URL}new/", {**data, "server_folder": str(tmp_path)})

    assert "not inside one of the folders" in refused.content.decode()
    assert taken.status_code == 302
    assert ImportBatch.objects.get().preview["n_photos"] == 1


def test_outcomes_are_downloaded_without_formulas(team):
    batch = ImportBatchFactory(population=team.population, status="started")
    ImportFile.objects.create(
        batch=batch, path="=cmd|calc.jpg", outcome="refused", reason="No photo."
    )

    answer = team.client("trainer").get(f"{URL}{batch.pk}/outcomes.csv")

    assert list(csv.reader(io.StringIO(answer.content.decode()))) == [
        ["file", "outcome", "reason"],
        ["'=cmd|calc.jpg", "Refused", "No photo."],
    ]


def test_an_import_is_discarded(team):
    batch = ImportBatchFactory(population=team.population)

    team.client("trainer").post(f"{URL}{batch.pk}/discard/")

    assert not ImportBatch.objects.exists()


@pytest.mark.parametrize("page", ["", "new/", "{pk}/", "{pk}/outcomes.csv"])
def test_imports_are_for_trainers(team, page):
    batch = ImportBatchFactory(population=team.population)

    assert_access(team, f"{URL}{page.format(pk=batch.pk)}", "trainer")


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("files", 200),
        ("preview", 302),
        ("start", 302),
        ("retry", 302),
        ("discard", 302),
    ],
)
def test_actions_on_imports_are_for_trainers(team, action, allowed):
    batch = ImportBatchFactory(population=team.population)

    assert_access(
        team, f"{URL}{batch.pk}/{action}/", "trainer", method="post", allowed=(allowed,)
    )


def test_an_import_of_another_population_is_out_of_reach(team):
    batch = ImportBatchFactory()

    assert team.client("administrator").get(f"{URL}{batch.pk}/").status_code == 404


@pytest.mark.parametrize("n", [1, 3])
def test_import_list_costs_the_same_for_more_imports(
    n, team, django_assert_num_queries
):
    for batch in ImportBatchFactory.create_batch(
        n, population=team.population, created_by=team.trainer
    ):
        batch.files.create(path="a.jpg")
    client = team.client("trainer")

    with django_assert_num_queries(8):
        page = client.get(URL)

    assert page.content.decode().count("Import ") >= n


@pytest.mark.parametrize("n", [1, 3])
def test_import_page_costs_the_same_for_more_files(n, team, django_assert_num_queries):
    batch = ImportBatchFactory(population=team.population, status="started")
    for index in range(n):
        photo = PhotoFactory(population=team.population)
        batch.files.create(path=f"{index}.jpg", photo=photo, outcome="imported")
    client = team.client("trainer")

    with django_assert_num_queries(10):
        client.get(f"{URL}{batch.pk}/")
