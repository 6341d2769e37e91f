from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from finwave import home
from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from populations.models import Encounter, ImportFile, Individual, Photo, PhotoLabel
from populations.services import importing, imports
from populations.services.imports import Said, Uploads
from tests.factories.populations import EncounterFactory, PopulationFactory
from tests.populations.services.test_imports import folder_of, upload, zip_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def population():
    return PopulationFactory()


def started(population, user, uploads, source="folder", label_kind="folders"):
    batch = imports.open_import(
        population=population,
        user=user,
        said=Said(source=source, label_kind=label_kind, uploads=uploads),
    )
    imports.start_import(batch=batch, user=user)
    return batch


def imported(*args, **kwargs):
    batch = started(*args, **kwargs)
    run_job(batch.job.pk)
    batch.refresh_from_db()
    return batch


def outcomes(batch):
    return dict(batch.files.values_list("path", "outcome"))


def said(population):
    """Return who was said to be on which photo."""
    labels = PhotoLabel.objects.filter(photo__population=population)
    return set(labels.values_list("photo__original_name", "individual__code", "side"))


def test_import_stores_photos_views_and_labels(population, user, photo_bytes, home):
    content = photo_bytes(1, size_wh=(900, 600), taken_at=datetime(2016, 6, 3, 9, 30))

    batch = imported(population, user, folder_of({"s/T1/left_a.jpg": content}))

    photo = Photo.objects.get()
    assert Job.objects.get().status == "completed"
    assert photo.import_batch == batch
    assert (photo.width_px, photo.height_px) == (900, 600)
    assert photo.taken_at == datetime(2016, 6, 3, 9, 30, tzinfo=UTC)
    assert (home / photo.file.name).read_bytes() == content
    assert (home / photo.thumbnail.name).is_file()
    assert (home / photo.view_name).is_file()
    assert photo.thumbnail.name.startswith(f"populations/{population.pk}/thumbnails/")
    assert said(population) == {("s/T1/left_a.jpg", "T1", "left")}
    assert photo.encounter.name == "s/T1 2016-06-03"
    assert photo.encounter.date_on == date(2016, 6, 3)


def test_import_cleans_up_when_everything_was_taken(population, user, photo_bytes):
    batch = imported(population, user, zip_of({"a.jpg": photo_bytes()}), "zip", "none")

    assert not home.staging_folder(batch.pk).exists()


def test_import_refuses_bad_files_one_by_one(population, user, photo_bytes):
    population.code_pattern = r"T\d"
    population.save()
    good = photo_bytes(1, size_wh=(300, 200))
    files = {
        "s/T1/good.jpg": good,
        "s/T1/cut.jpg": good[: len(good) // 2],
        "s/T1/empty.jpg": b"",
        "s/T1/page.jpg": b"<html><script>alert(1)</script></html>",
        "s/Tom/b.jpg": photo_bytes(2),
    }

    batch = imported(population, user, folder_of(files))

    assert Counter(outcomes(batch).values()) == {"imported": 1, "refused": 4}
    reasons = dict(batch.files.values_list("path", "reason"))
    assert all(reasons[path] for path in files if path != "s/T1/good.jpg")
    assert "does not fit the pattern" in reasons["s/Tom/b.jpg"]
    assert Photo.objects.count() == 1
    assert set(Individual.objects.values_list("code", flat=True)) == {"T1"}
    job = Job.objects.get()
    assert (job.status, job.n_done, job.n_failed) == ("completed", 5, 4)


def test_retry_takes_only_what_was_refused(population, user, photo_bytes):
    population.code_pattern = r"T\d"
    population.save()
    files = {"s/T1/a.jpg": photo_bytes(1), "s/Tom/b.jpg": photo_bytes(2)}
    batch = imported(population, user, folder_of(files))
    first = Photo.objects.get()
    population.code_pattern = ""
    population.save()

    job = imports.retry_import(batch=batch, user=user)
    run_job(job.pk)

    assert set(outcomes(batch).values()) == {"imported"}
    assert Photo.objects.count() == 2
    assert Photo.objects.filter(pk=first.pk, created_at=first.created_at).exists()
    assert not home.staging_folder(batch.pk).exists()


def test_import_recognises_the_same_picture_and_keeps_what_is_said_of_it(
    population, user, photo_bytes
):
    content = photo_bytes(1)
    imported(population, user, folder_of({"a.jpg": content}), label_kind="none")
    photo = Photo.objects.get()
    Photo.objects.update(encounter=None)
    table = b"filename,individual,encounter\nb.jpg,T1;T2,E1\nc.jpg,T2,E1\n"

    batch = imported(
        population,
        user,
        folder_of({"b.jpg": content, "c.jpg": photo_bytes(2), "labels.csv": table}),
        label_kind="csv",
    )

    assert outcomes(batch) == {"b.jpg": "duplicate", "c.jpg": "imported"}
    photo.refresh_from_db()
    assert photo.original_name == "a.jpg"
    assert photo.encounter.name == "E1"
    assert {code for name, code, _ in said(population) if name == "a.jpg"} == {
        "T1",
        "T2",
    }
    reason = batch.files.get(path="b.jpg").reason
    assert "already here as a.jpg" in reason
    assert "new labels were added" in reason


def test_the_same_picture_in_another_population_is_a_photo_of_its_own(
    population, user, photo_bytes
):
    other = PopulationFactory()
    imported(other, user, folder_of({"a.jpg": photo_bytes()}), label_kind="none")

    batch = imported(
        population, user, folder_of({"a.jpg": photo_bytes()}), label_kind="none"
    )

    assert outcomes(batch) == {"a.jpg": "imported"}
    assert Photo.objects.filter(population=population).count() == 1


def test_the_same_picture_twice_in_one_import(population, user, photo_bytes):
    batch = imported(
        population,
        user,
        folder_of({"s/T1/a.jpg": photo_bytes(), "s/T2/b.jpg": photo_bytes()}),
    )

    assert outcomes(batch) == {"s/T1/a.jpg": "imported", "s/T2/b.jpg": "duplicate"}
    assert {code for _, code, _ in said(population)} == {"T1", "T2"}


def test_photos_without_encounter_are_grouped_by_folder_and_day(
    population, user, photo_bytes
):
    files = {
        "x/1.jpg": photo_bytes(1, taken_at=datetime(2016, 6, 3, 9)),
        "x/2.jpg": photo_bytes(2, taken_at=datetime(2016, 6, 3, 17)),
        "x/3.jpg": photo_bytes(3, taken_at=datetime(2016, 6, 4, 9)),
        "y/4.jpg": photo_bytes(4, taken_at=datetime(2016, 6, 3, 9)),
        "y/5.jpg": photo_bytes(5),
    }

    batch = imported(population, user, folder_of(files), label_kind="none")

    groups = Counter(Photo.objects.values_list("encounter__name", flat=True))
    assert groups == {
        "x 2016-06-03": 2,
        "x 2016-06-04": 1,
        "y 2016-06-03": 1,
        f"y, undated (import {batch.pk})": 1,
    }


def test_an_encounter_is_completed_and_never_changed(population, user, photo_bytes):
    EncounterFactory(population=population, name="E1", photographer="Ana")
    table = (
        b"filename,encounter,date,photographer,latitude,longitude\n"
        b"a.jpg,E1,2020-05-04,Ben,10.5,-20\n"
    )

    imported(
        population,
        user,
        folder_of({"a.jpg": photo_bytes(), "labels.csv": table}),
        label_kind="csv",
    )

    encounter = Encounter.objects.get()
    assert encounter.photographer == "Ana"
    assert encounter.date_on == date(2020, 5, 4)
    assert (encounter.latitude, encounter.longitude) == (10.5, -20)
    photo = Photo.objects.get()
    assert (photo.latitude, photo.longitude) == (10.5, -20)


class PowerCut(BaseException):
    """What a kill looks like from inside: nothing catches it."""


@pytest.mark.parametrize("place", ["store_photo", "record_photo", "forget_staged"])
@pytest.mark.parametrize("source", ["folder", "zip"])
def test_import_goes_on_after_a_kill_at_any_place(
    place, source, population, user, photo_bytes, monkeypatch
):
    files = {f"s/T{n % 2}/{n}.jpg": photo_bytes(n) for n in range(4)}
    files["s/T0/bad.jpg"] = b"no photo"
    uploads = folder_of(files) if source == "folder" else zip_of(files)
    batch = started(population, user, uploads, source)
    owner = importing if place == "forget_staged" else importing.photos
    real = getattr(owner, place)
    calls = []

    def dies_the_second_time(*args, **kwargs):
        calls.append(place)
        result = real(*args, **kwargs)
        if len(calls) == 2:
            raise PowerCut
        return result

    monkeypatch.setattr(owner, place, dies_the_second_time)
    with pytest.raises(PowerCut):
        run_job(batch.job.pk)
    monkeypatch.undo()
    n_done_before = batch.files.exclude(outcome="waiting").count()
    assert 0 < n_done_before < 5

    Job.objects.update(status="queued", lease_token="")
    run_job(batch.job.pk)

    assert Counter(outcomes(batch).values()) == {"imported": 4, "refused": 1}
    assert Photo.objects.count() == 4
    assert PhotoLabel.objects.count() == 4
    assert {photo.encounter_id for photo in Photo.objects.all()} == set(
        Encounter.objects.values_list("pk", flat=True)
    )
    stored = list((home.population_folder(population.pk) / "photos").rglob("*.*"))
    assert len(stored) == 4
    assert Job.objects.get().status == "completed"


def test_a_half_written_original_is_written_again(population, user, photo_bytes, home):
    batch = imported(population, user, folder_of({"a.jpg": photo_bytes()}))
    photo = Photo.objects.get()
    name = photo.file.name
    photo.delete()
    (home / name).write_bytes(b"half")

    batch = imported(population, user, folder_of({"a.jpg": photo_bytes()}))

    assert outcomes(batch) == {"a.jpg": "imported"}
    photo = Photo.objects.get()
    assert photo.file.name == name
    assert (home / name).read_bytes() == photo_bytes()


def test_stop_leaves_the_rest_waiting_and_retry_goes_on(
    population, user, photo_bytes, monkeypatch
):
    files = {f"s/T1/{n}.jpg": photo_bytes(n) for n in range(3)}
    batch = started(population, user, folder_of(files))
    real = importing.import_file

    def asks_to_stop(run, *args):
        from django.utils import timezone

        Job.objects.filter(pk=run.job_id).update(stop_requested_at=timezone.now())
        return real(run, *args)

    monkeypatch.setattr(importing, "import_file", asks_to_stop)
    run_job(batch.job.pk)
    monkeypatch.undo()
    assert Counter(outcomes(batch).values()) == {"imported": 1, "waiting": 2}
    assert Job.objects.get().status == "stopped"

    run_job(imports.retry_import(batch=batch, user=user).pk)

    assert set(outcomes(batch).values()) == {"imported"}
    assert Photo.objects.count() == 3


def test_a_second_delivery_does_nothing(population, user, photo_bytes):
    batch = imported(population, user, folder_of({"s/T1/a.jpg": photo_bytes()}))

    run_job(batch.job.pk)

    assert Photo.objects.count() == 1
    assert Job.objects.get().attempt == 1


def test_an_import_whose_zip_is_gone_fails_with_a_sentence(
    population, user, photo_bytes
):
    batch = started(population, user, zip_of({"a.jpg": photo_bytes()}), "zip", "none")
    imports.sources.staged_zip(batch).unlink()

    run_job(batch.job.pk)

    job = Job.objects.get()
    assert job.status == "failed"
    assert "no longer there" in job.reason


def test_import_of_a_folder_of_the_server_copies_and_leaves_it(
    population, user, photo_bytes, settings, tmp_path
):
    (tmp_path / "T1").mkdir()
    original = tmp_path / "T1" / "a.jpg"
    original.write_bytes(photo_bytes())
    settings.FINWAVE_IMPORT_ROOTS = [tmp_path]
    user.is_staff = True
    batch = imports.open_import(
        population=population,
        user=user,
        said=Said(
            source="server",
            label_kind="folders",
            uploads=Uploads([], None, None),
            server_folder=str(tmp_path),
        ),
    )
    imports.start_import(batch=batch, user=user)

    run_job(batch.job.pk)

    assert outcomes(batch) == {"T1/a.jpg": "imported"}
    assert original.is_file()
    with Photo.objects.get().file.open() as stored:
        assert stored.read() == photo_bytes()


@pytest.mark.slow
def test_import_of_real_seals_from_a_zip(population, user, real_data):
    """107 photographs of 13 individuals, with a table that names them all."""
    buffer = io.BytesIO()
    images = real_data / "seals" / "images"
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(images.rglob("*.jpg")):
            archive.write(path, f"images/{path.relative_to(images).as_posix()}")
    table = (real_data / "seals" / "labels.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    uploads = Uploads(
        files=[],
        zip_file=SimpleUploadedFile("seals.zip", buffer.getvalue()),
        table=upload("labels.csv", table),
    )

    batch = imported(population, user, uploads, "zip", "csv")

    assert batch.preview["n_photos"] == 107
    assert batch.preview["n_new_individuals"] == 13
    assert batch.preview["n_unlabelled"] == batch.preview["n_missing"] == 0
    counts = Counter(batch.files.values_list("outcome", flat=True))
    assert sum(counts.values()) == 107
    assert counts[ImportFile.Outcome.REFUSED] == 0
    assert Individual.objects.count() == 13
    named = {row["encounter"] for row in rows} - {""}
    grouped = Photo.objects.filter(
        original_name__in=[
            f"images/{r['filename']}" for r in rows if not r["encounter"]
        ]
    ).values_list("encounter__name", flat=True)
    assert set(Encounter.objects.values_list("name", flat=True)) == named | set(grouped)
    assert all(grouped)
    expected = {
        (f"images/{r['filename']}", r["individual"], r["side"] or "unknown")
        for r in rows
    }
    photos = {p.original_name for p in Photo.objects.all()}
    assert {s for s in expected if s[0] in photos} <= said(population)
