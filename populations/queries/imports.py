"""Reads of imports: the list, and what became of the files of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from populations.models import ImportBatch, ImportFile, Population

Outcome = ImportFile.Outcome


def batches_of(population: Population) -> QuerySet[ImportBatch]:
    return (
        ImportBatch.objects.filter(population=population)
        .select_related("created_by", "job")
        .annotate(
            n_files=Count("files"),
            n_imported=Count("files", filter=Q(files__outcome=Outcome.IMPORTED)),
            n_refused=Count("files", filter=Q(files__outcome=Outcome.REFUSED)),
        )
        .order_by("-pk")
    )


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    value: str
    label: str
    n: int


def outcome_counts(batch: ImportBatch) -> list[OutcomeCount]:
    counts = dict(batch.files.order_by().values_list("outcome").annotate(n=Count("pk")))
    return [OutcomeCount(o.value, o.label, counts.get(o.value, 0)) for o in Outcome]


def files_of(batch: ImportBatch, outcome: str = "") -> QuerySet[ImportFile]:
    files = batch.files.select_related("photo").order_by("path")
    return files.filter(outcome=outcome) if outcome else files


def outcome_rows(batch: ImportBatch) -> Iterator[tuple[str, str, str]]:
    """Yield a header and a row a file, for a CSV."""
    yield "file", "outcome", "reason"
    for file in files_of(batch).iterator():
        yield defused(file.path), file.get_outcome_display(), defused(file.reason)


def defused(text: str) -> str:
    """Keep a spreadsheet from taking a file's name for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
