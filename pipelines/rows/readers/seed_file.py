"""Reads seed files: finds the reader by the file's name, and refuses or sets aside bad rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from io import BufferedReader
from itertools import islice
from pathlib import Path

from pipelines.errors import MAX_SHOWN, InputError, combined
from pipelines.rows.readers.columns import to_row
from pipelines.rows.readers.csv_rows import read_csv
from pipelines.rows.readers.file_format import check_file, format_of, open_bytes
from pipelines.rows.readers.json_array import read_json_array
from pipelines.rows.readers.json_lines import read_json_lines
from pipelines.rows.readers.parquet_rows import read_parquet
from pipelines.rows.readers.seed_rows import (
    REMEDIES,
    BadRow,
    FileProblem,
    OnBadRow,
    RawRecord,
    RowProblem,
    SeedRow,
    SeedRows,
    to_printable,
)

_STREAM_READERS: dict[str, Callable[[BufferedReader], Iterator[RawRecord]]] = {
    "json-lines": read_json_lines,
    "json": read_json_array,
    "csv": read_csv,
}


def read_seeds(path: Path, *, limit: int | None = None, on_bad_row: OnBadRow = "refuse") -> SeedRows:
    """Return the first `limit` rows of a seed file (all: None), good and bad ones together.

    Args:
        on_bad_row: "quarantine" sets bad rows aside, "refuse" raises InputError with their lines.

    Raises:
        InputError: Also under "quarantine", if the file cannot be opened, cannot be read to the end of the wanted
            rows, or has no good row.
    """
    try:
        check_file(path)
        with closing(_read_records(path)) as found:
            rows, bad = _separate_bad_rows(islice(found, limit), on_bad_row)
    except FileProblem as problem:
        raise _file_error(path, problem) from None
    if bad and (on_bad_row == "refuse" or not rows):
        raise combined([_row_error(path, row) for row in bad])
    if not rows:
        raise InputError("contains no rows", file=str(path))
    return SeedRows(rows, bad, hash_seed_file(path))


def check_seed_file(path: Path) -> None:
    """Raise InputError unless the file exists and its name says a known format; its rows are not read."""
    try:
        check_file(path)
        format_of(path)
    except FileProblem as problem:
        raise _file_error(path, problem) from None


def hash_seed_file(path: Path) -> str:
    """Return the sha256 of the file on disk.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None


def _read_records(path: Path) -> Generator[RawRecord]:
    kind, zipped = format_of(path)
    if kind == "parquet":
        yield from read_parquet(path)
        return
    with open_bytes(path, zipped) as stream:
        yield from _STREAM_READERS[kind](stream)


def _separate_bad_rows(found: Iterator[RawRecord], on_bad_row: OnBadRow) -> tuple[list[SeedRow], list[BadRow]]:
    rows: list[SeedRow] = []
    bad: list[BadRow] = []
    for index, item in enumerate(found):
        try:
            rows.append(_row(index, item))
        except RowProblem as problem:
            bad.append(BadRow(index, item.line, problem.field, problem.reason, problem.detail, to_printable(item.raw)))
            if on_bad_row == "refuse" and len(bad) > MAX_SHOWN:
                break
    return rows, bad


def _row(index: int, item: RawRecord) -> SeedRow:
    if isinstance(item.record, RowProblem):
        raise item.record
    return to_row(index, item.record)


def _row_error(path: Path, row: BadRow) -> InputError:
    place = "" if row.line is not None else f"row {row.index} (from 0): "
    remedy = REMEDIES[row.reason]
    return InputError(f"{place}{row.detail}", file=str(path), line=row.line, field=row.field, remedy=remedy)


def _file_error(path: Path, problem: FileProblem) -> InputError:
    return InputError(problem.message, file=str(path), line=problem.line, remedy=problem.remedy)
