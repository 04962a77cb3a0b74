"""A step's finished units, written in order as Parquet shards."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cluster.fault_points import reached
from pipelines.rows.arrow import from_table, to_table
from pipelines.rows.types import ROW_TYPES, Rejection, Row
from pipelines.store.manifest import Account, Shard
from pipelines.store.partitions import UNIT_ROWS, find_parts, read_part, unit_of
from pipelines.store.store import Store

SHARD_UNITS = 32
R = TypeVar("R", bound=Row)


def _in_order(rows: Sequence[R]) -> list[R]:
    return sorted(rows, key=lambda row: (row.index, row.id))


def write_shards(store: Store, kind: str, key: str, rows_in: int) -> tuple[tuple[Shard, ...], Account]:
    """Turn a complete step's parts into shards. Peak memory is one shard's rows."""
    shards: list[Shard] = []
    totals = {"rows": 0, "rejected": 0, "failed": 0}
    reasons: dict[str, int] = {}
    parts = find_parts(store, kind, key)
    for number in sorted({unit // SHARD_UNITS for unit in parts}) or [0]:
        members = sorted(unit for unit in parts if unit // SHARD_UNITS == number)
        done = [read_part(store, kind, parts[unit]) for unit in members]
        rows = [row for part in done for row in _in_order(part.rows)]
        rejections = [row for part in done for row in _in_order(part.rejections)]
        shards += write_shard(store, kind, key, number, rows, rejections)
        totals["rows"] += len(rows)
        for rejection in rejections:
            totals[rejection.status] += 1
            reasons[rejection.reason] = reasons.get(rejection.reason, 0) + 1
    account = Account(
        rows_in=rows_in,
        rows_out=totals["rows"],
        rejected=totals["rejected"],
        failed=totals["failed"],
        reasons=dict(sorted(reasons.items())),
    )
    return tuple(shards), account


def write_shard(
    store: Store, kind: str, key: str, number: int, rows: Sequence[Row], rejections: Sequence[Rejection]
) -> list[Shard]:
    """Write one shard: its rows and, beside them, what was not passed on."""
    store.fence()
    folder = store.folder(kind, key)
    tables: list[tuple[str, pa.Table]] = [
        (f"rows-{number:05d}.parquet", to_table(ROW_TYPES[kind], rows)),
        (f"rejected-{number:05d}.parquet", to_table(Rejection, rejections)),
    ]
    written = [store.write_table(folder, name, table) for name, table in tables]
    reached("shard.written", folder)
    return written


def read_unit(store: Store, kind: str, key: str, unit: int) -> list[Row]:
    """The rows of one unit of a finished step, in order."""
    table = _shard(store.url, kind, key, unit // SHARD_UNITS)
    index = pc.field("index")
    first, end = unit * UNIT_ROWS, (unit + 1) * UNIT_ROWS
    return from_table(ROW_TYPES[kind], table.filter((index >= first) & (index < end)))


@lru_cache(maxsize=8)
def _shard(url: str, kind: str, key: str, number: int) -> pa.Table:
    """A shard, kept for the neighbours of the unit that asked."""
    store = Store(url)
    return store.read_table(posixpath.join(store.folder(kind, key), f"rows-{number:05d}.parquet"))


def units_of(store: Store, kind: str, key: str) -> list[int]:
    """The units that a finished step has rows in."""
    indices = store.rows(kind, key, columns=["index"]).column("index").to_pylist()
    return sorted({unit_of(index) for index in indices})
