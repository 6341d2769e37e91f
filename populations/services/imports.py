"""Verbs of an import in the browser: collect files, preview, start, retry, discard.

What the job then does with each file is in `importing`.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q

from finwave import home
from finwave.jobs import services as jobs
from finwave.jobs.models import Job
from populations.exceptions import ImportRefused
from populations.models import (
    ImportBatch,
    ImportFile,
    Population,
)
from populations.services import previews, sources
from populations.services.paths import clean_path, is_junk

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Uploads:
    """Files of one request, each with the path it has on the sender's disk."""

    files: list[tuple[str, UploadedFile]]
    zip_file: UploadedFile | None
    table: UploadedFile | None


@dataclass(frozen=True, slots=True)
class Said:
    """What the person said when opening an import."""

    source: str
    label_kind: str
    uploads: Uploads
    server_folder: str = ""
    is_already_cropped: bool = False
    # The files come one after the other later; the preview waits for them.
    is_collecting: bool = False


def open_import(*, population: Population, user: User, said: Said) -> ImportBatch:
    """Open an import with the files that came along, and preview it.

    Raises:
        ImportRefused: if what was sent cannot be read; nothing is left of it then.
    """
    server_folder = ""
    if said.source == ImportBatch.Source.SERVER:
        if not user.is_staff:
            raise ImportRefused("Only staff may import from the server's own disk.")
        server_folder = str(sources.allowed_folder(said.server_folder))
    batch = ImportBatch.objects.create(
        population=population,
        created_by=user,
        source=said.source,
        labels=said.label_kind,
        server_folder=server_folder,
        is_already_cropped=said.is_already_cropped,
    )
    try:
        stage_uploads(batch=batch, said=said.uploads)
        if not said.is_collecting:
            prepare_preview(batch=batch)
    except ImportRefused:
        discard_batch(batch=batch)
        raise
    return batch


def stage_uploads(*, batch: ImportBatch, said: Uploads) -> dict[str, str]:
    """Put uploads aside; return the refused paths with the reason.

    Raises:
        ImportRefused: if the import has started already.
    """
    require_unstarted(batch)
    if said.zip_file is not None:
        sources.store_upload(said.zip_file, sources.staged_zip(batch))
    if said.table is not None:
        sources.store_upload(said.table, sources.staged_table(batch))
        batch.csv_name = str(said.table.name)[-400:]
        batch.save(update_fields=["csv_name"])
    outcomes = {path: stage_file(batch, path, file) for path, file in said.files}
    return {path: reason for path, reason in outcomes.items() if reason}


def require_unstarted(batch: ImportBatch) -> None:
    if batch.status == ImportBatch.Status.STARTED:
        raise ImportRefused("This import has started; open a new one for more files.")


def stage_file(batch: ImportBatch, path: str, file: UploadedFile) -> str:
    """Put one file aside; return why it is not taken, or "".

    Sending a file again replaces it, so an upload that broke off just goes on.
    """
    clean = clean_path(path)
    if clean is None:
        return "Its name cannot be used."
    if is_junk(clean):
        return ""
    try:
        sources.store_upload(file, sources.staged_files(batch) / clean)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return "A file and a folder have the same name."
    return ""


def prepare_preview(*, batch: ImportBatch) -> ImportBatch:
    """Work out what the import would do and keep it for the page; write nothing else.

    Raises:
        ImportRefused: if the source cannot be read at all.
    """
    require_unstarted(batch)
    with sources.source_of(batch) as source:
        listing = source.listing()
        plan, table = previews.plan_of(batch, source, listing)
    batch.preview = previews.describe(batch, listing, plan, table)
    batch.status = ImportBatch.Status.PREVIEW
    batch.save(update_fields=["preview", "status", "labels", "mapping", "csv_name"])
    return batch


def start_import(*, batch: ImportBatch, user: User) -> Job:
    """Write one row a photo and queue the job that imports them.

    Raises:
        ImportRefused: if it has started already, or there is nothing to import.
    """
    with sources.source_of(batch) as source:
        plan, _table = previews.plan_of(batch, source, source.listing())
    if plan.blocker:
        raise ImportRefused(plan.blocker)
    if not plan.rows:
        raise ImportRefused("There is no photograph to import.")
    check_space(batch)
    with transaction.atomic():
        won = ImportBatch.objects.filter(
            pk=batch.pk, status=ImportBatch.Status.PREVIEW
        ).update(status=ImportBatch.Status.STARTED, mapping=batch.mapping)
        if won != 1:
            raise ImportRefused("This import has started already.")
        ImportFile.objects.bulk_create(
            (
                ImportFile(batch=batch, path=path, row=dict(row))
                for path, row in plan.rows.items()
            ),
            batch_size=500,
        )
        queue_job(batch, user, n_total=len(plan.rows))
    assert batch.job is not None
    return batch.job


def queue_job(batch: ImportBatch, user: User, *, n_total: int) -> None:
    batch.job = jobs.start_job(
        kind="populations.import",
        scope_id=batch.population_id,
        subject_id=batch.pk,
        title="Import of photographs",
        user=user,
        n_total=n_total,
    )
    ImportBatch.objects.filter(pk=batch.pk).update(job=batch.job)


def check_space(batch: ImportBatch) -> None:
    """Refuse an import that the disk could not hold.

    Originals are copied; view and thumbnail add about a fifth of a typical photo.
    """
    needed = int(batch.preview.get("n_bytes", 0) * 1.2)
    free = shutil.disk_usage(home.home()).free
    if needed > free:
        raise ImportRefused(
            f"The photographs need about {needed // 1024**2} MB, and the disk has "
            f"{free // 1024**2} MB free. Make room first."
        )


def is_retryable() -> Q:
    return Q(outcome__in=(ImportFile.Outcome.REFUSED, ImportFile.Outcome.WAITING))


def retry_import(*, batch: ImportBatch, user: User) -> Job:
    """Try what was refused, or not reached, once more; the rest is not touched.

    Raises:
        ImportRefused: if the import is still at work or nothing is left to try.
    """
    with transaction.atomic():
        locked = (
            ImportBatch.objects.select_for_update(of=("self",))
            .select_related("job")
            .get(pk=batch.pk)
        )
        if locked.job is not None and not locked.job.is_finished:
            raise ImportRefused("This import is still at work.")
        again = ImportFile.objects.filter(is_retryable(), batch=locked)
        if not again.exists():
            raise ImportRefused("Every file of this import was taken already.")
        again.update(outcome=ImportFile.Outcome.WAITING, reason="")
        queue_job(locked, user, n_total=locked.files.count())
    assert locked.job is not None
    return locked.job


def discard_batch(*, batch: ImportBatch) -> None:
    """Let go of the files that were put aside; of an unstarted import, of all of it.

    Photographs that were imported stay.

    Raises:
        ImportRefused: while its job is at work.
    """
    if batch.job is not None and not batch.job.is_finished:
        raise ImportRefused("This import is still at work. Stop it first.")
    folder = home.staging_folder(batch.pk)
    if batch.status != ImportBatch.Status.STARTED:
        batch.delete()
    shutil.rmtree(folder, ignore_errors=True)


def is_kept(batch: ImportBatch) -> bool:
    """Tell whether the files of the batch are still there to be tried again."""
    if batch.source == ImportBatch.Source.SERVER:
        return True
    return home.staging_folder(batch.pk).is_dir()
