"""Rows of an unfinished step: a part for each unit, made into deterministic shards when the step is complete.

A unit is a range of seed indices. All that descends from a seed stays in its unit, so a unit's part is all that a
resumed run has to read to know what is done, and a shard is always the same rows in the same order. Parts are named by
the run that wrote them, and the newest one stands: what a run writes that lives on after its study was taken over by
another, is not looked at.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.points import reached
from pipelines.errors import Spoilt
from pipelines.rows import ROW_TYPES, Rejection, Row, from_table, to_table
from pipelines.store.manifest import Account, Shard
from pipelines.store.store import Store

UNIT_ROWS = 256
SHARD_UNITS = 32
ROWS, REJECTED = ".rows.parquet", ".rejected.parquet"

R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Finished:
    """What became of a unit's rows in one step."""

    rows: list[Row]
    rejections: list[Rejection]


def unit_of(index: int) -> int:
    """The unit that a seed index belongs to."""
    return index // UNIT_ROWS


@dataclass(frozen=True)
class Part:
    """One unit's rows of an unfinished step, all of them, as the run number `epoch` made them."""

    epoch: int
    rows: str
    rejected: str | None


def write_part(store: Store, kind: str, key: str, unit: int, done: Finished) -> None:
    """Make all of a unit's rows of an unfinished step durable. The rows come last: with them, the part exists."""
    folder = posixpath.join(store.folder(kind, key), "parts")
    name = f"{unit:08d}-{store.epoch:06d}"
    if done.rejections:
        store.write_table(folder, f"{name}{REJECTED}", to_table(Rejection, done.rejections))
    store.write_table(folder, f"{name}{ROWS}", to_table(ROW_TYPES[kind], done.rows))


def find_parts(store: Store, kind: str, key: str) -> dict[int, Part]:
    """What is durable of an unfinished step, by unit: the part of the newest run that made one."""
    paths = store.parts(kind, key, "*.parquet")  # sorted: a later run's part comes after an earlier one's
    rejected = {path.removesuffix(REJECTED): path for path in paths if path.endswith(REJECTED)}
    found: dict[int, Part] = {}
    for path in paths:
        if path.endswith(ROWS):
            stem = path.removesuffix(ROWS)
            unit, epoch = posixpath.basename(stem).split("-")
            found[int(unit)] = Part(int(epoch), path, rejected.get(stem))
    return found


def read_part(store: Store, kind: str, part: Part) -> Finished:
    """What a part holds. Raises Spoilt, and removes the part, if it can not be read: then it is made again."""
    files = [store.read_bytes(path) for path in (part.rows, part.rejected) if path]  # an OSError here is no bad part
    try:
        rows, *rejected = (pq.read_table(io.BytesIO(data), page_checksum_verification=True) for data in files)
        rejections = [row for table in rejected for row in from_table(Rejection, table)]
        return Finished([*from_table(ROW_TYPES[kind], rows)], rejections)
    except (pa.ArrowException, OSError) as error:
        store.fs.rm(part.rows)
        raise Spoilt(f"{part.rows} could not be read and is removed ({error}): run the same command again") from error


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
