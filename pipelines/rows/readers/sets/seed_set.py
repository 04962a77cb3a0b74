"""Reads seed sets row by row: finds the reader by the files' names, and tells good rows from bad ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path

from pipelines.errors import MAX_SHOWN, InputError, combined
from pipelines.rows.readers.formats.arrow_rows import count_arrow, count_parquet, read_arrow, read_parquet
from pipelines.rows.readers.formats.csv_rows import read_csv
from pipelines.rows.readers.formats.file_format import check_file, format_of, open_bytes
from pipelines.rows.readers.formats.json_file import read_json
from pipelines.rows.readers.formats.json_lines import count_json_lines, read_json_lines
from pipelines.rows.readers.layouts.records import to_row
from pipelines.rows.readers.rules import ReadingRules, SeedSource
from pipelines.rows.readers.seed_rows import (
    LAYOUT_REASONS,
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

_STREAM_READERS: dict[str, Callable[[BufferedReader, ReadingRules], Iterator[RawRecord]]] = {
    "json-lines": lambda stream, _: read_json_lines(stream),
    "json": read_json,
    "csv": read_csv,
    "tsv": partial(read_csv, separator="\t"),
}
_FILE_READERS: dict[str, Callable[[Path, ReadingRules], Iterator[RawRecord]]] = {
    "parquet": read_parquet,
    "arrow": read_arrow,
}
_COUNTS: dict[str, Callable[[Path], int]] = {"parquet": count_parquet, "arrow": count_arrow}


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
        rows += _count_file(path, source.rules, None if limit is None else limit - rows)
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


def count_notes(rows: Iterable[SeedRow]) -> dict[str, int]:
    """Return how many rows have each note, by its text."""
    return dict(Counter(note.text for row in rows for note in row.notes))


def bad_rows_error(bad: Sequence[BadRow]) -> InputError:
    """Return the error that names bad rows with places and remedies; problems of the layout once for each file."""
    groups: dict[tuple[object, ...], list[BadRow]] = {}
    for row in bad:
        same = (row.file, row.reason, row.field) if row.reason in LAYOUT_REASONS else (row.index,)
        groups.setdefault(same, []).append(row)
    return combined([_row_error(rows[0], len(rows), len(bad) > MAX_SHOWN) for rows in groups.values()])


def no_rows_error(source: SeedSource) -> InputError:
    """Return the error of a seed set without any row."""
    return InputError("contains no rows", file=str(source.files[0]) if source.files else None)


def _file_rows(path: Path, source: SeedSource, start: int) -> Iterator[SeedRow | BadRow]:
    try:
        with closing(_read_records(path, source.rules)) as records:
            for number, item in enumerate(records):
                try:
                    yield _row(start + number, item, source.rules)
                except RowProblem as problem:
                    told = (problem.field, problem.reason, problem.detail, to_printable(item.raw))
                    yield BadRow(start + number, item.line, *told, str(path), number)
    except FileProblem as problem:
        raise file_error(path, problem) from None


def _count_file(path: Path, rules: ReadingRules, limit: int | None) -> int:
    try:
        check_file(path)
        kind, packed = format_of(path)
        if kind in _COUNTS:
            rows = _COUNTS[kind](path)
            return rows if limit is None else min(rows, limit)
        if kind == "json-lines" and limit is None:
            with open_bytes(path, packed) as stream:
                return count_json_lines(stream)
        with closing(_read_records(path, rules)) as records:
            return sum(1 for _ in islice(records, limit))
    except FileProblem as problem:
        raise file_error(path, problem) from None


def _read_records(path: Path, rules: ReadingRules) -> Generator[RawRecord]:
    check_file(path)
    kind, packed = format_of(path)
    if kind in _FILE_READERS:
        yield from _FILE_READERS[kind](path, rules)
        return
    with open_bytes(path, packed) as stream:
        yield from _STREAM_READERS[kind](stream, rules)


def _row(index: int, item: RawRecord, rules: ReadingRules) -> SeedRow:
    if isinstance(item.record, RowProblem):
        raise item.record
    return to_row(index, item.record, rules)


def _row_error(row: BadRow, count: int, more: bool) -> InputError:
    """Return the error of the first of `count` rows with the same problem. `more` says that not all were read."""
    place = "" if row.line is not None else f"row {row.row} (from 0): "
    same = f" (the same in {'at least ' if more else ''}{count - 1} more rows)" if count > 1 else ""
    remedy = REMEDIES[row.reason]
    return InputError(f"{place}{row.detail}{same}", file=row.file, line=row.line, field=row.field, remedy=remedy)
