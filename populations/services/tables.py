"""Tables of labels: reading a CSV as teams write them, and guessing its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from populations.exceptions import ImportRefused
from populations.services.sources import Problem

MAX_ROWS = 1_000_000

COLUMNS = (
    "filename",
    "individual",
    "encounter",
    "date",
    "side",
    "photographer",
    "latitude",
    "longitude",
)
# Headers that teams use for each column, without case, spaces and punctuation.
SYNONYMS = {
    "filename": "filename file image imagename imagefile photo photoname photofile path "
    "filepath imagepath picture name filnavn datei fichier archivo",
    "individual": "individual individualid id animal animalid identity whale whaleid "
    "dolphin dolphinid seal sealid code label class catalogueid catalogid name",
    "encounter": "encounter encounterid event eventid session sightingid group survey "
    "occurrence trip",
    "date": "date day datetaken taken takenon datetime eventdate timestamp datum fecha",
    "side": "side viewpoint view flank orientation lado seite",
    "photographer": "photographer observer author takenby by fotograf",
    "latitude": "latitude lat decimallatitude y",
    "longitude": "longitude lon long lng decimallongitude x",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as it was read: rows with their line numbers."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    encoding: str
    delimiter: str
    problems: list[Problem]


def decode(content: bytes) -> tuple[str, str]:
    """Return a table's text and its encoding; Latin-1 takes what UTF-8 does not."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), "UTF-16"
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        # Windows' own variant first: it also knows typographic quotes.
        try:
            return content.decode("cp1252"), "Latin-1"
        except UnicodeDecodeError:
            return content.decode("latin-1"), "Latin-1"


def guess_delimiter(text: str) -> str:
    """Return the delimiter that splits the first lines into most equal columns."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]

    def score(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        widest = max(counts, default=1)
        return (counts.count(counts[0]) if widest > 1 else 0, counts[0])

    return max(",;\t", key=score) if lines else ","


def read_table(content: bytes) -> Table:
    """Return the table in a CSV file.

    Raises:
        ImportRefused: if there is no header, or it is not a text file.
    """
    if b"\x00" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ImportRefused(
            "The labels are not a CSV file. Save the sheet as CSV and choose that file."
        )
    text, encoding = decode(content)
    delimiter = guess_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    problems: list[Problem] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                message = f"The row has {len(cells)} cells, the header {len(header)}."
                problems.append(Problem(message, row=reader.line_num))
            rows.append((reader.line_num, [cell.strip() for cell in cells]))
            if len(rows) > MAX_ROWS:
                raise ImportRefused(f"The table has more than {MAX_ROWS} rows.")
    except csv.Error as error:
        raise ImportRefused(
            f"The CSV file breaks off at line {reader.line_num}: {error}."
        ) from error
    if not any(header):
        raise ImportRefused("The CSV file is empty: it has no header line.")
    return Table(header, rows, encoding, delimiter, problems)


def guess_columns(header: Iterable[str]) -> dict[str, str]:
    """Return which header each column of ours most likely is."""
    names = {re.sub(r"[\W_]+", "", name.lower()): name for name in header if name}
    columns: dict[str, str] = {}
    for column in COLUMNS:
        for synonym in SYNONYMS[column].split():
            name = names.get(synonym)
            if name is not None and name not in columns.values():
                columns[column] = name
                break
    return columns
