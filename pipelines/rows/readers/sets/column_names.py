"""Reads the names of a file's columns, without deciding which field of a seed each of them is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pipelines.rows.readers.formats.csv_rows import find_separator
from pipelines.rows.readers.formats.file_format import check_file, format_of, open_bytes
from pipelines.rows.readers.formats.json_file import read_json
from pipelines.rows.readers.formats.json_lines import read_json_lines
from pipelines.rows.readers.rules import ReadingRules
from pipelines.rows.readers.seed_rows import FileProblem
from pipelines.rows.readers.sets.locate import file_error


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a file of rows, of its first row if rows differ; empty without a row.

    Raises:
        InputError: The file cannot be opened, or is of no known format.
    """
    try:
        check_file(path)
        kind, packed = format_of(path)
        if kind in ("parquet", "arrow"):
            return _table_names(path, kind)
        with open_bytes(path, packed) as stream:
            if kind in ("csv", "tsv"):
                return _header(stream, "\t" if kind == "tsv" else ",")
            first = next(read_json_lines(stream) if kind == "json-lines" else read_json(stream, ReadingRules()), None)
            return _keys(first.record if first else None)
    except FileProblem as problem:
        if names := _names_of_columns(path):
            return names
        raise file_error(path, problem) from None


def _names_of_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a JSON file that is an object of columns, whatever their names; empty for another file."""
    try:
        with open_bytes(path, format_of(path)[1]) as stream:
            content = json.load(stream)
    except (FileProblem, ValueError, OSError):
        return ()
    columns = _keys(content)
    return columns if all(isinstance(content[name], list) for name in columns) else ()


def _header(stream: io.BufferedReader, expected: str) -> tuple[str, ...]:
    separator = find_separator(stream, expected)
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    return tuple(next(csv.reader(lines, delimiter=separator), ()))


def _keys(record: object) -> tuple[str, ...]:
    return tuple(cast(Mapping[str, object], record)) if isinstance(record, dict) else ()


def _table_names(path: Path, kind: str) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    library: Any = pa
    try:
        if kind == "parquet":
            return tuple(cast(Any, pq).read_schema(path).names)
        try:
            return tuple(library.ipc.open_file(path).schema.names)
        except library.ArrowInvalid:
            return tuple(library.ipc.open_stream(path).schema.names)
    except (library.ArrowException, OSError) as error:
        raise FileProblem(f"cannot be read: {' '.join(str(error).split())}") from None
