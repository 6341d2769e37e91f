"""The import of photographs as a job."""

from __future__ import annotations

from finwave.jobs.running import JobRun
from populations.models import ImportBatch
from populations.services import importing


def run_import(run: JobRun) -> None:
    batch = (
        ImportBatch.objects.select_related("population")
        .filter(pk=run.subject_id)
        .first()
    )
    if batch is not None:
        importing.import_batch(run, batch)
