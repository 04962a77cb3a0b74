"""Reads a CSV file of published numbers, each with the result of the study that it is compared with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError, nearest

COORDINATES = (
    "benchmark",
    "metric",
    "student",
    "recipe",
    "seeds",
    "evolver",
    "round",
    "teacher",
    "decoding",
    "selection",
)
COLUMNS_REMEDY = f"Columns: value, any of {', '.join(COORDINATES)}, and source."


@dataclass(frozen=True, slots=True)
class Published:
    """A published number. It is compared with all results that match its `coordinates` (column -> value).

    They are those of a benchmark's result, or, without a benchmark, those of a data set's metric.

    `line` is its line in the file, counted from 1.
    """

    coordinates: Mapping[str, str]
    value: float
    source: str
    line: int

    def matches(self, place: Mapping[str, str]) -> bool:
        """Return whether a number with these coordinates is one that this number is compared with."""
        if ("benchmark" in self.coordinates) != ("benchmark" in place):
            return False
        return all(place.get(name) == value for name, value in self.coordinates.items())


def read_published(path: Path) -> list[Published]:
    """Return all numbers of a file. An empty cell matches any value of its column.

    Raises:
        InputError: The file cannot be read, a column is unknown or missing, or a value is not a number.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=str(path), remedy="Give a CSV file in UTF-8.") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    known = ["value", "source", *COORDINATES]
    for name in rows.fieldnames or ():
        if name not in known:
            remedy = nearest(name, known) or COLUMNS_REMEDY
            raise InputError(f"unknown column '{name}'", file=str(path), line=1, remedy=remedy)
    if "value" not in (rows.fieldnames or ()):
        raise InputError("missing column 'value'", file=str(path), line=1, remedy=COLUMNS_REMEDY)
    try:
        return [_parse_row(path, rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise InputError(f"invalid CSV: {error}", file=str(path), line=rows.line_num) from None


def _parse_row(path: Path, line: int, row: Mapping[str | None, str | None]) -> Published:
    if None in row or None in row.values():
        raise InputError("the number of cells differs from the header", file=str(path), line=line)
    cells = {str(name): value or "" for name, value in row.items()}
    try:
        value = float(cells["value"])
    except ValueError:
        raise InputError(f"'{cells['value']}' is not a number", file=str(path), line=line, field="value") from None
    coordinates = {name: cells[name] for name in COORDINATES if cells.get(name)}
    return Published(coordinates, value, cells.get("source", ""), line)
