"""Converts rows to and from Arrow tables, whose schema follows from the row type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, get_type_hints

import pyarrow as pa

from pipelines.rows.types import Row

_PLAIN: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}
_LISTS = {list[kind]: pa.list_(pa.field("item", of, nullable=False)) for kind, of in _PLAIN.items()}
_ARROW: dict[Any, pa.DataType] = _PLAIN | _LISTS


@cache
def schema(row_type: type[Row]) -> pa.Schema:
    """Return the Arrow schema of a row type. No field is nullable."""
    hints = get_type_hints(row_type)
    return pa.schema([pa.field(f.name, _ARROW[hints[f.name]], nullable=False) for f in fields(row_type)])


def column_types(arrow_schema: pa.Schema) -> dict[str, str]:
    """Return the columns of a schema with their types, as a manifest lists them."""
    return {field.name: _type_name(field.type) for field in arrow_schema}


def _type_name(arrow_type: pa.DataType) -> str:
    return (
        f"list<{arrow_type.value_type}>" if pa.types.is_list(arrow_type) else str(arrow_type)
    )  # without the name of a list's items, which Parquet changes


def to_table(row_type: type[Row], rows: Iterable[Row]) -> pa.Table:
    """Return rows as an Arrow table with the schema of their type."""
    return pa.Table.from_pylist([vars(row) for row in rows], schema=schema(row_type))


def with_schema(row_type: type[Row], table: pa.Table) -> pa.Table:
    """Return a table of rows that was read from a file with the schema of their type. Other columns are left out."""
    arrow_schema = schema(row_type)
    return table.select(arrow_schema.names).cast(arrow_schema)


R = TypeVar("R", bound=Row)


def from_table(row_type: type[R], table: pa.Table) -> list[R]:
    """Return the rows of a table, the inverse of `to_table`. Columns that the row type does not have are ignored."""
    names = [each.name for each in fields(row_type)]
    columns: list[list[Any]] = [table[name].to_pylist() for name in names]
    return [row_type(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]
