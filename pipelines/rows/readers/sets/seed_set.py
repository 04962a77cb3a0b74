"""Reads seed sets row by row: finds the reader by the files' names, and tells good rows from bad ones."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from io import BufferedReader
from itertools import islice
from pathlib import Path

from pipelines.errors import MAX_SHOWN, InputError, combined
from pipelines.rows.readers.formats.csv_rows import read_csv
from pipelines.rows.readers.formats.file_format import check_file, format_of, open_bytes
from pipelines.rows.readers.formats.json_array import read_json_array
from pipelines.rows.readers.formats.json_lines import read_json_lines
from pipelines.rows.readers.formats.parquet_rows import count_parquet_rows, read_parquet
from pipelines.rows.readers.layouts.columns import to_row
from pipelines.rows.readers.rules import SeedSource
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
from pipelines.rows.readers.sets.locate import file_error, find_files, hash_files

_STREAM_READERS: dict[str, Callable[[BufferedReader], Iterator[RawRecord]]] = {
    "json-lines": read_json_lines,
    "json": read_json_array,
    "csv": read_csv,
}


def iter_seeds(source: SeedSource) -> Generator[SeedRow | BadRow]:
    """Yield the rows of a seed set, one at a time. Memory does not depend on the number of rows.

    Raises:
        InputError: A file cannot be opened, or cannot be read beyond the rows that were yielded.
    """
    index = 0
    for path in source.files:
        for row in _file_rows(path, source, index):
            yield row
            index += 1


def count_rows(source: SeedSource, limit: int | None = None) -> int:
    """Return the number of rows of a seed set, with bad ones; at most `limit` (None: all).

    Raises:
        InputError: A file cannot be read, or not to the end of the counted rows.
    """
    rows = 0
    for path in source.files:
        rows += _count_file(path, None if limit is None else limit - rows)
    return rows


def read_seeds(source: Path | SeedSource, *, limit: int | None = None, on_bad_row: OnBadRow = "refuse") -> SeedRows:
    """Return the first `limit` rows of a seed set (all: None), good and bad ones together.

    Args:
        source: A seed set, or the path of its only file.
        on_bad_row: "quarantine" sets bad rows aside, "refuse" raises InputError with their lines.

    Raises:
        InputError: Also under "quarantine", if a file cannot be opened, cannot be read to the end of the wanted rows,
            or if there is no good row.
    """
    seed_set = source if isinstance(source, SeedSource) else SeedSource(find_files([source]))
    rows: list[SeedRow] = []
    bad: list[BadRow] = []
    with closing(iter_seeds(seed_set)) as found:
        for row in islice(found, limit):
            if isinstance(row, SeedRow):
                rows.append(row)
                continue
            bad.append(row)
            if on_bad_row == "refuse" and len(bad) > MAX_SHOWN:
                break
    if bad and (on_bad_row == "refuse" or not rows):
        raise bad_rows_error(bad)
    if not rows:
        raise no_rows_error(seed_set)
    return SeedRows(rows, bad, hash_files(seed_set.files))


def bad_rows_error(bad: Sequence[BadRow]) -> InputError:
    """Return the error that names bad rows with their places and remedies."""
    return combined([_row_error(row) for row in bad])


def no_rows_error(source: SeedSource) -> InputError:
    """Return the error of a seed set without any row."""
    return InputError("contains no rows", file=str(source.files[0]) if source.files else None)


def _file_rows(path: Path, source: SeedSource, start: int) -> Iterator[SeedRow | BadRow]:
    try:
        with closing(_read_records(path)) as records:
            for number, item in enumerate(records):
                try:
                    yield _row(start + number, item)
                except RowProblem as problem:
                    told = (problem.field, problem.reason, problem.detail, to_printable(item.raw))
                    yield BadRow(start + number, item.line, *told, str(path), number)
    except FileProblem as problem:
        raise file_error(path, problem) from None


def _count_file(path: Path, limit: int | None) -> int:
    try:
        check_file(path)
        if format_of(path)[0] == "parquet":
            rows = count_parquet_rows(path)
            return rows if limit is None else min(rows, limit)
        with closing(_read_records(path)) as records:
            return sum(1 for _ in islice(records, limit))
    except FileProblem as problem:
        raise file_error(path, problem) from None


def _read_records(path: Path) -> Generator[RawRecord]:
    check_file(path)
    kind, zipped = format_of(path)
    if kind == "parquet":
        yield from read_parquet(path)
        return
    with open_bytes(path, zipped) as stream:
        yield from _STREAM_READERS[kind](stream)


def _row(index: int, item: RawRecord) -> SeedRow:
    if isinstance(item.record, RowProblem):
        raise item.record
    return to_row(index, item.record)


def _row_error(row: BadRow) -> InputError:
    place = "" if row.line is not None else f"row {row.row} (from 0): "
    remedy = REMEDIES[row.reason]
    return InputError(f"{place}{row.detail}", file=row.file, line=row.line, field=row.field, remedy=remedy)
