"""What the import's job does: each waiting file once, in a transaction of its own.

`ImportFile.outcome` is the cursor. It is written together with the photo's row and its
labels, so a kill leaves a file either waiting or done; files written to the storage
before that are found again by their content.
"""

from __future__ import annotations

import logging
import shutil
from datetime import date
from pathlib import PurePosixPath
from typing import cast

from django.db import transaction
from django.utils import timezone

from finwave import home
from finwave.jobs.exceptions import JobError
from finwave.jobs.running import JobRun
from populations.exceptions import ImportRefused, PhotoRefused
from populations.models import (
    Encounter,
    ImportBatch,
    ImportFile,
    Individual,
    IndividualAlias,
    Photo,
    PhotoLabel,
)
from populations.models.photos import Side
from populations.services import crops, photos, sources, tiers
from populations.services.labels import Row, read_day
from populations.services.photos import StoredPhoto
from populations.services.previews import code_refusal
from populations.services.sources import Source

logger = logging.getLogger(__name__)

Outcome = ImportFile.Outcome


def import_batch(run: JobRun, batch: ImportBatch) -> None:
    """Import every waiting file of the batch; to be repeated after any interruption.

    Raises:
        JobError: if the source as a whole is gone.
    """
    waiting = list(
        batch.files.filter(outcome=Outcome.WAITING).values_list("pk", flat=True)
    )
    run.begin(n_total=batch.files.count(), phase="Reading photographs")
    if waiting:
        try:
            with sources.source_of(batch) as source:
                import_waiting(run, batch, source, waiting)
        except ImportRefused as error:
            raise JobError(str(error)) from error
    cut_missing(batch)
    clean_up(batch)


def import_waiting(
    run: JobRun, batch: ImportBatch, source: Source, waiting: list[int]
) -> None:
    n_done = batch.files.count() - len(waiting)
    n_failed = batch.files.filter(outcome=Outcome.REFUSED).count()
    for pk in waiting:
        if run.should_stop():
            break
        outcome = import_file(run, batch, source, ImportFile.objects.get(pk=pk))
        n_done += 1
        n_failed += outcome == Outcome.REFUSED
        run.progress(n_done, n_failed=n_failed)
    run.progress(n_done, n_failed=n_failed, force=True)


def import_file(
    run: JobRun, batch: ImportBatch, source: Source, file: ImportFile
) -> str:
    """Import one file and return what became of it."""
    row = cast("Row", file.row)
    try:
        check_codes(batch, row)
        with source.extracted(file.path) as path:
            stored = photos.store_photo(
                population=batch.population, path=path, name=file.path
            )
    except PhotoRefused as refusal:
        file.outcome, file.reason = Outcome.REFUSED, str(refusal)[:500]
        file.save(update_fields=["outcome", "reason"])
        run.log(f"{file.path}: {refusal}", level="warning")
        return file.outcome
    with transaction.atomic():
        record(batch, file, row, stored)
    forget_staged(batch, file)
    return file.outcome


def check_codes(batch: ImportBatch, row: Row) -> None:
    """Refuse a photo with a code that no individual has and none may have."""
    for label in row["labels"]:
        refusal = code_refusal(batch.population, label["code"])
        if refusal and find_individual(batch, label["code"]) is None:
            raise PhotoRefused(refusal)


def find_individual(batch: ImportBatch, code: str) -> Individual | None:
    individuals = Individual.objects.filter(population=batch.population)
    known = individuals.filter(code=code).first()
    if known is None:
        known = individuals.filter(
            pk__in=IndividualAlias.objects.filter(code=code).values("individual")
        ).first()
    return known


def record(batch: ImportBatch, file: ImportFile, row: Row, stored: StoredPhoto) -> None:
    """Write the photo, its labels, and what became of the file."""
    had_encounter = stored.photo.encounter_id
    encounter = (
        None
        if had_encounter and not row["encounter"]
        else encounter_for(batch, file, row, stored.photo)
    )
    photo, is_new = photos.record_photo(
        stored=stored, encounter=encounter, import_batch=batch
    )
    add_position(photo, row)
    n_added = add_labels(batch, photo, row)
    file.photo = photo
    file.outcome = Outcome.IMPORTED if is_new else Outcome.DUPLICATE
    file.reason = "" if is_new else duplicate_reason(photo, encounter, n_added)
    file.save(update_fields=["photo", "outcome", "reason"])
    if n_added and photo.n_detections is not None:
        # Its labels say more than before, so its tier may be another one.
        tiers.retier(batch.population, [photo.pk])


def duplicate_reason(photo: Photo, encounter: Encounter | None, n_added: int) -> str:
    reason = f"The same picture is already here as {photo.original_name}."
    if n_added:
        reason += " Its new labels were added."
    if encounter and photo.encounter_id != encounter.pk:
        reason += f" It stays in the encounter {photo.encounter}."
    return reason[:500]


def add_position(photo: Photo, row: Row) -> None:
    if photo.latitude is None and row["latitude"] is not None:
        photo.latitude, photo.longitude = row["latitude"], row["longitude"]
        photo.save(update_fields=["latitude", "longitude"])


def add_labels(batch: ImportBatch, photo: Photo, row: Row) -> int:
    """Say who is on the photo; return how many were not said before."""
    n_added = 0
    for label in row["labels"]:
        individual = find_individual(batch, label["code"])
        if individual is None:
            individual = Individual.objects.create(
                population=batch.population, code=label["code"]
            )
        known, is_new = PhotoLabel.objects.get_or_create(
            photo=photo, individual=individual, defaults={"side": label["side"]}
        )
        n_added += is_new
        if known.side == Side.UNKNOWN and label["side"] != Side.UNKNOWN:
            known.side = label["side"]
            known.save(update_fields=["side"])
            n_added += not is_new
    return n_added


def encounter_for(
    batch: ImportBatch, file: ImportFile, row: Row, photo: Photo
) -> Encounter:
    """Return the photo's encounter: the named one, or that of its folder and day."""
    day = day_of(row, photo)
    encounter, _ = Encounter.objects.get_or_create(
        population=batch.population,
        name=row["encounter"] or group_name(batch, file.path, day),
    )
    complete(encounter, row, day)
    return encounter


def day_of(row: Row, photo: Photo) -> date | None:
    """Return the day that the row says, else its encounter's name, else the camera."""
    day = read_day(row["date"]) or read_day(row["encounter"])
    if day is None and photo.taken_at is not None:
        day = timezone.localtime(photo.taken_at).date()
    return day


def group_name(batch: ImportBatch, path: str, day: date | None) -> str:
    folder = PurePosixPath(path).parent.as_posix()
    place = "" if folder == "." else folder[-150:]
    if day is not None:
        return f"{place} {day.isoformat()}".strip()
    return f"{place or 'Photographs'}, undated (import {batch.pk})"


def complete(encounter: Encounter, row: Row, day: date | None) -> None:
    """Fill in what is not known of the encounter yet; nothing known is changed."""
    said = {
        "date_on": day,
        "photographer": row["photographer"],
        "latitude": row["latitude"],
        "longitude": row["longitude"],
    }
    changed = [
        name
        for name, value in said.items()
        if value not in (None, "") and getattr(encounter, name) in (None, "")
    ]
    for name in changed:
        setattr(encounter, name, said[name])
    if changed:
        encounter.save(update_fields=changed)


def cut_missing(batch: ImportBatch) -> None:
    """Cut the crops that photos known before gained through their new labels."""
    known = list(
        batch.files.filter(
            outcome=Outcome.DUPLICATE, photo__n_detections__isnull=False
        ).values_list("photo", flat=True)
    )
    if known:
        crops.cut_missing(tiers.missing_crops(batch.population, known))


def forget_staged(batch: ImportBatch, file: ImportFile) -> None:
    if batch.source == ImportBatch.Source.FOLDER:
        (sources.staged_files(batch) / file.path).unlink(missing_ok=True)


def clean_up(batch: ImportBatch) -> None:
    """Remove what was staged, unless something is left that could be tried again."""
    left = batch.files.filter(outcome__in=(Outcome.WAITING, Outcome.REFUSED))
    if not left.exists():
        shutil.rmtree(home.staging_folder(batch.pk), ignore_errors=True)
