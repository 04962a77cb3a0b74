"""Reads the needed text columns of Parquet files, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.rows.readers.formats.file_format import FORMATS, HEAD_BYTES, PARQUET_MAGIC, check_growth, refuse_foreign
from pipelines.rows.readers.layouts.columns import match_columns
from pipelines.rows.readers.seed_rows import (
    MAX_ROW_BYTES,
    REMEDIES,
    FileProblem,
    RawRecord,
    RowProblem,
    decode_bytes,
    has_bad_bytes,
)

_BATCH = 1_000
_ENCRYPTED = b"PARE"


def read_parquet(path: Path) -> Iterator[RawRecord]:
    """Yield every row.

    Raises:
        FileProblem: If the file is damaged, or a needed column is missing or does not contain text.
    """
    import pyarrow as pa  # late: planning a study does not need Arrow
    import pyarrow.parquet as pq

    try:
        _check_head(path)
        with pq.ParquetFile(path) as file:
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            check_growth(sum(group.total_byte_size for group in groups), path.stat().st_size)
            names = _text_columns(file.schema_arrow)
            for batch in file.iter_batches(batch_size=_BATCH, columns=names):
                yield from _batch_records(batch, names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None


def count_parquet_rows(path: Path) -> int:
    """Return the number of rows that the file's footer states.

    Raises:
        FileProblem: If the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_head(path)
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> FileProblem:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileProblem(f"not a readable Parquet file: {reason}", remedy="Fetch or write it again.")


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    refuse_foreign(head)
    if head.startswith(_ENCRYPTED):
        raise FileProblem("is an encrypted Parquet file", remedy="Write it without encryption.")
    if not head.startswith(PARQUET_MAGIC):
        raise FileProblem("is not a Parquet file", remedy=f"Give it the name of its format: {', '.join(FORMATS)}.")


def _text_columns(schema: Any) -> list[str]:
    names: list[str] = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileProblem(f"two columns are named {', '.join(twice)}", remedy=REMEDIES["ambiguous-field"])
    try:
        chosen = list(match_columns(names).values())
    except RowProblem as problem:
        raise FileProblem(f"among its columns: {problem.detail}", remedy=REMEDIES[problem.reason]) from None
    for name in chosen:
        if not _is_text(schema.field(name).type):
            kind = schema.field(name).type
            raise FileProblem(f"column '{name}' has the type {kind}, not text", remedy="Write its values as text.")
    return chosen


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)


def _batch_records(batch: Any, names: list[str]) -> Iterator[RawRecord]:
    cells = {name: _bytes(batch.column(name)) for name in names}
    for row in range(batch.num_rows):
        yield _row_record({name: cells[name][row] for name in names})


def _bytes(column: Any) -> list[bytes | None]:
    """Return a column as bytes, not text: Arrow does not check that strings are UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.large_binary()).to_pylist()


def _row_record(cells: dict[str, bytes | None]) -> RawRecord:
    record = {name: None if value is None else decode_bytes(value) for name, value in cells.items()}
    raw = json.dumps(record, ensure_ascii=False)
    if sum(len(value) for value in cells.values() if value) > MAX_ROW_BYTES:
        return RawRecord(None, raw, RowProblem("row-too-large", f"the row is larger than {MAX_ROW_BYTES:,} bytes"))
    for name, value in record.items():
        if value is not None and has_bad_bytes(value):
            return RawRecord(None, raw, RowProblem("invalid-utf8", "the row holds bytes that are not UTF-8", name))
    return RawRecord(None, raw, record)
