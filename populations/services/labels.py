"""What is said about each photo of an import: by its folder, or by a table.

Pure reading: nothing here touches the database. The result is a plan that the preview
shows and the import carries out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Literal, TypedDict

from populations.exceptions import ImportRefused
from populations.models.photos import Side
from populations.services.sources import Problem
from populations.services.tables import Table

Level = Literal["top", "parent"]

SIDES = {
    **{s.value: s.value for s in Side},
    **{"l": "left", "lhs": "left", "links": "left", "gauche": "left"},
    **{"r": "right", "rhs": "right", "rechts": "right", "droite": "right"},
    **{"f": "front", "b": "back", "rear": "back", "u": "unknown", "?": "unknown"},
}
# What people write where nobody knows the animal.
NOBODY = frozenset(
    {"", "-", "?", "??", "n/a", "unknown", "unk", "unidentified", "none", "null"}
)
BETWEEN_INDIVIDUALS = re.compile(r"[;|]")
MAX_CODE = 100


class Label(TypedDict):
    code: str
    side: str


class Row(TypedDict):
    """What is said about one photo; kept as JSON in `ImportFile.row`."""

    labels: list[Label]
    encounter: str
    date: str  # ISO, or ""
    photographer: str
    latitude: float | None
    longitude: float | None


def empty_row() -> Row:
    return Row(
        labels=[],
        encounter="",
        date="",
        photographer="",
        latitude=None,
        longitude=None,
    )


@dataclass(slots=True)
class Plan:
    """What the import will do with each photo, and what is wrong on the way."""

    rows: dict[str, Row]
    problems: list[Problem] = field(default_factory=list)
    # How many lines of the table name a photo that is not there.
    n_missing: int = 0
    # Why the labels cannot be read at all; the import does not start then.
    blocker: str = ""


def by_folders(paths: Iterable[str], level: Level) -> Plan:
    """Name each photo's individual by a folder: the topmost that differs, or its own.

    A folder that holds everything is no name, unless photos lie directly in it.
    """
    paths = list(paths)
    folders = [PurePosixPath(path).parent.parts for path in paths]
    n_common = common_depth(folders)
    plan = Plan(rows={})
    for path, parts in zip(paths, folders, strict=True):
        row = empty_row()
        if level == "parent":
            code = parts[-1] if parts else ""
        else:
            code = parts[n_common] if len(parts) > n_common else ""
        if code.lower() not in NOBODY:
            row["labels"] = [Label(code=code, side=side_in_name(path))]
        plan.rows[path] = row
    return plan


def common_depth(folders: list[tuple[str, ...]]) -> int:
    """Return how many leading folders all photos share and none of them names."""
    if not folders:
        return 0
    distinct = set(folders)
    if len(distinct) == 1:
        # One folder only: it is the individual's.
        return max(len(next(iter(distinct))) - 1, 0)
    depth = 0
    shortest = min(map(len, distinct))
    first = next(iter(distinct))
    while depth < shortest and all(f[depth] == first[depth] for f in distinct):
        depth += 1
    return depth


def side_in_name(path: str) -> str:
    """Return the side that a file's name spells out, such as `left_012.jpg`."""
    words = re.split(r"[^a-z]+", PurePosixPath(path).stem.lower())
    sides = {word for word in words if word in ("left", "right")}
    return sides.pop() if len(sides) == 1 else Side.UNKNOWN.value


class PathFinder:
    """Finds the photo that a table means: by its path, or by the end of it."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.by_tail: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            parts = fold(path).split("/")
            for n in range(len(parts)):
                self.by_tail["/".join(parts[n:])].append(path)

    def find(self, name: str) -> list[str]:
        """Return the photos that fit, best kind of fit first: one is right."""
        parts = [p for p in fold(name.replace("\\", "/")).split("/") if p and p != "."]
        # A table may know more folders than were uploaded, or fewer.
        for n in range(len(parts)):
            found = self.by_tail.get("/".join(parts[n:]))
            if found:
                whole = [path for path in found if fold(path) == "/".join(parts)]
                return whole or found
        return []


def fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@dataclass(slots=True)
class TableReader:
    """Turns the rows of a table into what is said about each photo."""

    table: Table
    columns: dict[str, str]
    plan: Plan
    is_month_first: bool = False
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def cells(self, cells: list[str]) -> dict[str, str]:
        positions = {name: n for n, name in enumerate(self.table.header)}
        return {
            column: cells[positions[name]]
            for column, name in self.columns.items()
            if name in positions and positions[name] < len(cells)
        }

    def complain(self, message: str, path: str, line: int) -> None:
        self.plan.problems.append(Problem(message, path, line))

    def read(self, finder: PathFinder) -> None:
        dates = [self.cells(cells).get("date", "") for _, cells in self.table.rows]
        self.is_month_first = are_months_first(dates)
        for line, raw in self.table.rows:
            cells = self.cells(raw)
            name = cells.get("filename", "")
            found = finder.find(name) if name else []
            if not name:
                self.complain("The row names no file.", "", line)
            elif not found:
                self.plan.n_missing += 1
                self.complain("There is no such photo.", name, line)
            elif len(found) > 1:
                self.complain(
                    f"{len(found)} photos have this name; give the folder too.",
                    name,
                    line,
                )
            else:
                self.take(found[0], cells, line)

    def take(self, path: str, cells: dict[str, str], line: int) -> None:
        """Add one row to what is said about a photo."""
        row = self.plan.rows[path]
        self.add_labels(row, path, cells, line)
        said = {
            "encounter": cells.get("encounter", "")[:200],
            "photographer": cells.get("photographer", "")[:120],
            "date": self.day(path, cells.get("date", ""), line),
        }
        for key, value in said.items():
            before = row[key]  # type: ignore[literal-required]  # three text fields
            if value and before and value != before:
                self.complain(
                    f"Another row gives the {key} {before}; that one stays.", path, line
                )
            elif value:
                row[key] = value  # type: ignore[literal-required]  # as above
        latitude = self.degrees(path, "latitude", cells, 90, line)
        longitude = self.degrees(path, "longitude", cells, 180, line)
        if latitude is not None and longitude is not None:
            row["latitude"], row["longitude"] = latitude, longitude

    def add_labels(self, row: Row, path: str, cells: dict[str, str], line: int) -> None:
        side = self.side(path, cells.get("side", ""), line)
        for part in BETWEEN_INDIVIDUALS.split(cells.get("individual", "")):
            code = part.strip()
            if code.lower() in NOBODY:
                continue
            if (path, code) in self.seen:
                self.complain(
                    f"Row {self.seen[path, code]} says the same already.", path, line
                )
                continue
            self.seen[path, code] = line
            row["labels"].append(Label(code=code, side=side))

    def side(self, path: str, text: str, line: int) -> str:
        if text and text.lower() not in SIDES:
            self.complain(f"“{text}” is no side; it is left unknown.", path, line)
        return SIDES.get(text.lower(), Side.UNKNOWN.value)

    def day(self, path: str, text: str, line: int) -> str:
        if not text:
            return ""
        day = read_day(text, is_month_first=self.is_month_first)
        if day is None:
            self.complain(f"“{text}” is no date; it is left out.", path, line)
            return ""
        return day.isoformat()

    def degrees(
        self, path: str, column: str, cells: dict[str, str], limit: float, line: int
    ) -> float | None:
        text = cells.get(column, "")
        if not text:
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = float("nan")
        if not -limit <= value <= limit:
            self.complain(
                f"“{text}” is no {column} in degrees; it is left out.", path, line
            )
            return None
        return value


def by_table(paths: Iterable[str], table: Table, columns: dict[str, str]) -> Plan:
    """Let each row of a table speak about the photo that it names.

    Raises:
        ImportRefused: if no column holds the files' names.
    """
    if "filename" not in columns:
        raise ImportRefused(
            "No column of the table is known to hold the names of the files. Choose it."
        )
    paths = list(paths)
    plan = Plan(
        rows={path: empty_row() for path in paths}, problems=list(table.problems)
    )
    TableReader(table, columns, plan).read(PathFinder(paths))
    return plan


NUMBERS = re.compile(r"^(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})")


def are_months_first(dates: Iterable[str]) -> bool:
    """Tell whether dates are written 12/31/2020, judged by those with a day over 12."""
    for text in dates:
        match = NUMBERS.match(text)
        if match and len(match[1]) < 3:
            if int(match[2]) > 12:
                return True
            if int(match[1]) > 12:
                return False
    return False


def read_day(text: str, *, is_month_first: bool = False) -> date | None:
    """Return the day that a cell means, or None. A time after it is not looked at."""
    text = text.strip()
    if re.fullmatch(r"(19|20)\d{6}", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    match = NUMBERS.match(text)
    try:
        if match is None:
            return datetime.strptime(text[:40], "%d %B %Y").date()
        first, second, third = (int(number) for number in match.groups())
        if len(match[1]) == 4:
            return date(first, second, third)
        if len(match[3]) != 4:
            return None
        month, day = (first, second) if is_month_first else (second, first)
        return date(third, month, day)
    except ValueError:
        return None
