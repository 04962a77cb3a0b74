"""Reads the needed columns of Parquet and Arrow files, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pipelines.rows.readers.formats.file_format import (
    ARROW_MAGIC,
    FORMATS,
    HEAD_BYTES,
    PARQUET_MAGIC,
    check_growth,
    refuse_foreign,
)
from pipelines.rows.readers.layouts.columns import Columns, check_names, needed
from pipelines.rows.readers.layouts.names import LISTS, PARTS, plain
from pipelines.rows.readers.rules import ReadingRules
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
_STREAM = b"\xff\xff\xff\xff"  # the first bytes of an Arrow stream, which `datasets` writes
_LISTED = ("messages", "history")  # fields whose values may be lists
_PRESENT = "present"  # stands for a value that is not read


def read_parquet(path: Path, rules: ReadingRules) -> Iterator[RawRecord]:
    """Yield every row.

    Raises:
        FileProblem: If the file is damaged, or a needed column is missing or does not contain text.
    """
    with _errors("Parquet"), _open_parquet(path) as file:
        groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
        check_growth(sum(group.total_byte_size for group in groups), path.stat().st_size)
        names, opaque = _columns(file.schema_arrow, rules)
        for batch in file.iter_batches(batch_size=_BATCH, columns=names):
            yield from _batch_records(batch, names, opaque)


def read_arrow(path: Path, rules: ReadingRules) -> Iterator[RawRecord]:
    """Yield every row of an Arrow file or stream.

    Raises:
        FileProblem: If the file is damaged, or a needed column is missing or does not contain text.
    """
    with _errors("Arrow"), _open_arrow(path) as (schema, batches):
        names, opaque = _columns(schema, rules)
        for whole in batches:
            for start in range(0, whole.num_rows, _BATCH):
                batch = whole.slice(start, _BATCH).select(names)
                batch.validate(full=True)  # Arrow trusts the offsets of a mapped file, and crashes if they are wrong
                yield from _batch_records(batch, names, opaque)


def count_parquet(path: Path) -> int:
    """Return the number of rows, from the file's metadata."""
    with _errors("Parquet"), _open_parquet(path) as file:
        return int(file.metadata.num_rows)


def count_arrow(path: Path) -> int:
    """Return the number of rows. The file is mapped, not read."""
    with _errors("Arrow"), _open_arrow(path) as (_, batches):
        return sum(batch.num_rows for batch in batches)


@contextmanager
def _errors(form: str) -> Generator[None]:
    import pyarrow as pa  # late: planning a study does not need Arrow

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileProblem(f"not a readable {form} file: {reason}", remedy="Fetch or write it again.") from None


@contextmanager
def _open_parquet(path: Path) -> Generator[Any]:
    import pyarrow.parquet as pq

    head = _head(path)
    if head.startswith(_ENCRYPTED):
        raise FileProblem("is an encrypted Parquet file", remedy="Write it without encryption.")
    if not head.startswith(PARQUET_MAGIC):
        raise FileProblem("is not a Parquet file", remedy=f"Give it the name of its format: {', '.join(FORMATS)}.")
    with pq.ParquetFile(path) as file:
        yield file


@contextmanager
def _open_arrow(path: Path) -> Generator[tuple[Any, Iterator[Any]]]:
    """Yield the schema of an Arrow file or stream, and an iterator over its batches."""
    import pyarrow as pa

    head = _head(path)
    if not head.startswith((ARROW_MAGIC, _STREAM)):
        raise FileProblem("is not an Arrow file", remedy=f"Give it the name of its format: {', '.join(FORMATS)}.")
    with pa.memory_map(str(path)) as mapped:
        if head.startswith(ARROW_MAGIC):
            file = pa.ipc.open_file(mapped)
            yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(mapped)
            yield stream.schema, iter(stream)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    refuse_foreign(head)
    return head


def _columns(schema: Any, rules: ReadingRules) -> tuple[list[str], list[str]]:
    """Return the names of the needed columns that can be read, and of those that are only known to be there."""
    names: list[str] = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileProblem(f"two columns are named {', '.join(twice)}", remedy="Rename or remove one of them.")
    try:
        nested = [name for name in names if not _is_text(schema.field(name).type)]
        columns = check_names(names, rules, nested)
    except RowProblem as problem:
        raise FileProblem(f"among its columns: {problem.detail}", remedy=REMEDIES[problem.reason]) from None
    wanted = needed(columns)
    opaque = [name for name in wanted if plain(name) in PARTS and not _is_readable(schema.field(name).type)]
    for name in wanted:
        if name not in opaque:
            _check_type(name, schema.field(name).type, columns)
    return [name for name in wanted if name not in opaque], opaque


def _check_type(name: str, kind: Any, columns: Columns) -> None:
    """Raise FileProblem unless a column holds text, or lists and objects of text where its field may hold them."""
    listed = {path.split(".")[0] for path in columns.mapped.values()} | {*columns.lists, *columns.parts, "body"}
    listed |= {each for field in _LISTED for each in columns.strong.get(field, ())}
    listed |= {each for each in columns.weak.get("output", ()) if plain(each) in (*LISTS, "completion")}
    if not (_is_text(kind) or (name in listed and _is_readable(kind))):
        raise FileProblem(f"column '{name}' has the type {kind}, not text", remedy=REMEDIES["wrong-type"])


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)


def _is_readable(kind: Any) -> bool:
    """Return whether values of a type are text, numbers, or lists and objects of them."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_readable(kind.value_type)
    if types.is_struct(kind):
        return all(_is_readable(kind.field(number).type) for number in range(kind.num_fields))
    return _is_text(kind) or types.is_primitive(kind)


def _as_bytes(kind: Any) -> Any:
    """Return a type with bytes in the place of text: Arrow does not check that strings are UTF-8."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = kind.value_field
        return pa.large_list(inner.with_type(_as_bytes(inner.type)))
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in fields])
    return pa.large_binary() if _is_text(kind) else kind


def _batch_records(batch: Any, names: list[str], opaque: list[str]) -> Iterator[RawRecord]:
    cells = {name: _values(batch.column(name)) for name in names}
    for row in range(batch.num_rows):
        yield _row_record({name: cells[name][row] for name in names}, opaque)


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return cast(list[Any], column.cast(_as_bytes(column.type)).to_pylist())


def _row_record(cells: dict[str, Any], opaque: list[str]) -> RawRecord:
    sizes: list[int] = []
    record = {name: _decoded(value, sizes.append) for name, value in cells.items()}
    raw = json.dumps(record, ensure_ascii=False, default=str)
    if sum(sizes) > MAX_ROW_BYTES:
        return RawRecord(None, raw, RowProblem("row-too-large", f"the row is larger than {MAX_ROW_BYTES:,} bytes"))
    if not raw.isascii() and has_bad_bytes(raw):
        name = next(name for name, value in record.items() if has_bad_bytes(json.dumps(value, ensure_ascii=False)))
        return RawRecord(None, raw, RowProblem("invalid-utf8", "the row holds bytes that are not UTF-8", name))
    return RawRecord(None, raw, record | dict.fromkeys(opaque, _PRESENT))


def _decoded(value: Any, add_size: Callable[[int], None]) -> Any:
    if isinstance(value, bytes):
        add_size(len(value))
        return decode_bytes(value)
    if isinstance(value, list):
        return [_decoded(item, add_size) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {key: _decoded(item, add_size) for key, item in cast(dict[str, Any], value).items()}
    return value
