"""Rows of an unfinished step: small files by unit, made into deterministic shards when the step is complete.

A unit is a range of seed indices. All that descends from a seed stays in its unit, so a unit's parts are all that
a resumed run has to read to know what is done, and a shard is always the same rows in the same order.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rows import ROW_TYPES, Rejection, Row, from_table, schema, to_table
from pipelines.store.manifest import Account, Shard
from pipelines.store.store import Store, concat

UNIT_ROWS = 256
SHARD_UNITS = 32

R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Finished:
    """What became of a unit's rows in one step."""

    rows: list[Row]
    rejections: list[Rejection]


def unit_of(index: int) -> int:
    """The unit that a seed index belongs to."""
    return index // UNIT_ROWS


def write_part(store: Store, kind: str, key: str, unit: int, done: Finished) -> None:
    """Make rows of an unfinished step durable."""
    folder = posixpath.join(store.folder(kind, key), "parts")
    name = f"{unit:08d}-{uuid.uuid4().hex[:12]}"
    if done.rows:
        store.write_table(folder, f"{name}.rows.parquet", to_table(ROW_TYPES[kind], done.rows))
    if done.rejections:
        store.write_table(folder, f"{name}.rejected.parquet", to_table(Rejection, done.rejections))


def find_parts(store: Store, kind: str, key: str) -> dict[int, list[str]]:
    """What is durable of an unfinished step: the paths of its parts, by unit."""
    found: dict[int, list[str]] = {}
    for path in store.parts(kind, key, "*.parquet"):
        found.setdefault(int(posixpath.basename(path)[:8]), []).append(path)
    return found


def read_parts(store: Store, kind: str, paths: Sequence[str]) -> Finished:
    """What one unit's parts hold, each row once."""
    rejected = [path for path in paths if path.endswith(".rejected.parquet")]
    return Finished(
        _read(store, [path for path in paths if path not in rejected], ROW_TYPES[kind]),
        _read(store, rejected, Rejection),
    )


def _read(store: Store, paths: Sequence[str], row_type: type[R]) -> list[R]:
    tables = [store.read_table(path) for path in paths]
    unique = {row.id: row for row in from_table(row_type, concat(tables, schema(row_type)))}
    return sorted(unique.values(), key=lambda row: (row.index, row.id))


def write_shards(store: Store, kind: str, key: str, rows_in: int) -> tuple[tuple[Shard, ...], Account]:
    """Turn a complete step's parts into shards. Peak memory is one shard's rows."""
    shards: list[Shard] = []
    totals = {"rows": 0, "rejected": 0, "failed": 0}
    reasons: dict[str, int] = {}
    parts = find_parts(store, kind, key)
    for number in sorted({unit // SHARD_UNITS for unit in parts}) or [0]:
        members = sorted(unit for unit in parts if unit // SHARD_UNITS == number)
        done = [read_parts(store, kind, parts[unit]) for unit in members]
        rows = [row for part in done for row in part.rows]
        rejections = [row for part in done for row in part.rejections]
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
    return [store.write_table(folder, name, table) for name, table in tables]


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
