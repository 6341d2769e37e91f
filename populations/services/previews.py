"""What an import would do, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from populations.exceptions import ImportRefused, PhotoRefused
from populations.models import (
    Encounter,
    ImportBatch,
    Individual,
    IndividualAlias,
    Population,
)
from populations.services import labels, sources, tables
from populations.services.labels import Plan
from populations.services.sources import Listing, Problem, Source
from populations.services.tables import Table

N_ROWS = 12
N_PROBLEMS = 300
N_NAMES = 12


def read_table_of(batch: ImportBatch, source: Source, listing: Listing) -> Table:
    """Return the batch's table: the one chosen beside the photos, else one among them.

    Raises:
        ImportRefused: if there is none, or it cannot be read.
    """
    staged = sources.staged_table(batch)
    if staged.is_file():
        return tables.read_table(staged.read_bytes()[: sources.MAX_TABLE_BYTES])
    if not listing.tables:
        raise ImportRefused(
            "There is no CSV file among the photographs. Choose one, or say that the "
            "labels come from folders."
        )
    chosen = batch.csv_name if batch.csv_name in listing.tables else listing.tables[0]
    batch.csv_name = chosen
    return tables.read_table(source.read(chosen, sources.MAX_TABLE_BYTES))


def plan_of(batch: ImportBatch, source: Source, listing: Listing) -> tuple[Plan, Table]:
    """Work out what is said about each photo. Changes nothing in the database."""
    table = Table([], [], "", "", [])
    if batch.labels == ImportBatch.Labels.FOLDERS:
        return labels.by_folders(
            listing.photos, batch.mapping.get("level", "top")
        ), table
    unlabelled = {path: labels.empty_row() for path in listing.photos}
    if batch.labels == ImportBatch.Labels.NONE:
        return Plan(unlabelled), table
    try:
        table = read_table_of(batch, source, listing)
        columns = batch.mapping.get("columns") or tables.guess_columns(table.header)
        batch.mapping = {**batch.mapping, "columns": columns}
        return labels.by_table(listing.photos, table, columns), table
    except (ImportRefused, PhotoRefused) as error:
        return Plan(unlabelled, blocker=str(error)), table


def describe(
    batch: ImportBatch, listing: Listing, plan: Plan, table: Table
) -> dict[str, Any]:
    """Return the preview as JSON: counts, first rows, problems by file and row."""
    codes = {label["code"] for row in plan.rows.values() for label in row["labels"]}
    known = known_codes(batch.population)
    new = codes - known
    bad = {c for c in new if code_refusal(batch.population, c)}
    problems = [
        *listing.problems,
        *plan.problems,
        *pattern_problems(batch.population, plan, bad),
        *look_alike_problems(new - bad, known),
    ]
    named = {row["encounter"] for row in plan.rows.values() if row["encounter"]}
    known_encounters = set(
        Encounter.objects.filter(population=batch.population).values_list(
            "name", flat=True
        )
    )
    labelled = {path: row for path, row in plan.rows.items() if row["labels"]}
    first = {**labelled, **plan.rows} if labelled else plan.rows
    return {
        "n_photos": len(listing.photos),
        "n_bytes": sum(listing.photos.values()),
        "n_unlabelled": len(plan.rows) - len(labelled),
        "n_missing": plan.n_missing,
        "n_known_individuals": len(codes & known),
        "new_individuals": sorted(new - bad)[:N_NAMES],
        "n_new_individuals": len(new - bad),
        "n_known_encounters": len(named & known_encounters),
        "n_new_encounters": len(named - known_encounters),
        "n_without_encounter": sum(not row["encounter"] for row in plan.rows.values()),
        "n_refused": sum(
            any(label["code"] in bad for label in row["labels"])
            for row in plan.rows.values()
        ),
        "n_others": len(listing.others),
        "others": listing.others[:N_NAMES],
        "tables": listing.tables[:50],
        "is_table_staged": sources.staged_table(batch).is_file(),
        "header": table.header,
        "encoding": table.encoding,
        "rows": [{"path": path, **first[path]} for path in list(first)[:N_ROWS]],
        "problems": [asdict(problem) for problem in problems[:N_PROBLEMS]],
        "n_problems": len(problems),
        "blocker": plan.blocker,
    }


def known_codes(population: Population) -> set[str]:
    """Return every code that already means an individual, alternative ones too."""
    codes = Individual.objects.filter(population=population).values_list("code")
    aliases = IndividualAlias.objects.filter(
        individual__population=population
    ).values_list("code")
    return {code for (code,) in codes.order_by().union(aliases)}


def code_refusal(population: Population, code: str) -> str:
    """Return why a new individual may not have this code; "" if it may."""
    if len(code) > labels.MAX_CODE:
        return f"The code is longer than {labels.MAX_CODE} characters."
    if not population.accepts_code(code):
        return f"The code “{code}” does not fit the pattern {population.code_pattern}."
    return ""


def pattern_problems(
    population: Population, plan: Plan, bad: set[str]
) -> Iterable[Problem]:
    for path, row in plan.rows.items():
        for label in row["labels"]:
            if label["code"] in bad:
                yield Problem(
                    code_refusal(population, label["code"]) + " It will be refused.",
                    path,
                )


def look_alike_problems(new: set[str], known: set[str]) -> Iterable[Problem]:
    """Warn of new codes that differ from another one in capitals or spaces only."""
    alike: dict[str, str] = {}
    for code in sorted(known):
        alike[fold(code)] = code
    for code in sorted(new):
        other = alike.setdefault(fold(code), code)
        if other != code:
            yield Problem(
                f"“{code}” and “{other}” differ only in capitals or spaces; they will be "
                "two individuals."
            )


def fold(code: str) -> str:
    return "".join(code.casefold().split())
