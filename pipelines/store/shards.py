"""Combines the outputs of a step's partitions, in order, into Parquet shards."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.fault_points import hit
from pipelines.rows.arrow import from_table, schema, to_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection, Row
from pipelines.store.manifest import Account, Shard
from pipelines.store.partitions import PARTITION_ROWS, find_partitions, read_partition_tables
from pipelines.store.store import Store

SHARD_PARTITIONS = 32


def write_shards(store: Store, kind: str, key: str, rows_in: int) -> tuple[tuple[Shard, ...], Account]:
    """Write the partitions' outputs of a complete step as shards, and count its rows.

    Peak memory is one shard's rows.
    """
    shards: list[Shard] = []
    rows_out, statuses, reasons = 0, Counter[str](), Counter[str]()
    outputs = find_partitions(store, kind, key)
    for number in sorted({partition // SHARD_PARTITIONS for partition in outputs}) or [0]:
        members = sorted(partition for partition in outputs if partition // SHARD_PARTITIONS == number)
        finished = [read_partition_tables(store, kind, outputs[partition]) for partition in members]
        rows = _merged(ROW_TYPES[kind], [rows for rows, _ in finished])
        rejections = _merged(Rejection, [rejections for _, rejections in finished])
        shards += _write_tables(store, kind, key, number, rows, rejections)
        rows_out += rows.num_rows
        statuses.update(rejections["status"].to_pylist())
        reasons.update(rejections["reason"].to_pylist())
    account = Account(
        rows_in=rows_in,
        rows_out=rows_out,
        rejected=statuses["rejected"],
        failed=statuses["failed"],
        reasons=dict(sorted(reasons.items())),
    )
    return tuple(shards), account


def _merged(row_type: type[Row], tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of partitions in order, in one piece: in several, the same rows may give other bytes."""
    merged = pa.concat_tables([schema(row_type).empty_table(), *tables])
    return merged.sort_by([("index", "ascending"), ("id", "ascending")]).combine_chunks()


def write_shard(
    store: Store, kind: str, key: str, number: int, rows: Sequence[Row], rejections: Sequence[Rejection]
) -> list[Shard]:
    """Write one shard: a file of rows and a file of rejections."""
    return _write_tables(store, kind, key, number, to_table(ROW_TYPES[kind], rows), to_table(Rejection, rejections))


def _write_tables(store: Store, kind: str, key: str, number: int, rows: pa.Table, rejections: pa.Table) -> list[Shard]:
    store.fence()
    folder = store.folder(kind, key)
    tables = [(f"rows-{number:05d}.parquet", rows), (f"rejected-{number:05d}.parquet", rejections)]
    written = [store.write_table(folder, name, table) for name, table in tables]
    hit("shard.written", folder)
    return written


def read_partition_rows(store: Store, kind: str, key: str, partition: int, seeds: int | None = None) -> list[Row]:
    """Return the rows of one partition of a finished step, in order; with `seeds`, those of the first `seeds` seeds."""
    return from_table(ROW_TYPES[kind], read_partition_table(store.url, kind, key, partition, seeds))


def read_partition_table(url: str, kind: str, key: str, partition: int, seeds: int | None = None) -> pa.Table:
    """Return what `read_partition_rows` returns for the store with this URL, as a table."""
    table = _shard(url, kind, key, partition // SHARD_PARTITIONS)
    index = pc.field("index")
    first, end = partition * PARTITION_ROWS, (partition + 1) * PARTITION_ROWS
    end = end if seeds is None else min(end, seeds)
    return table.filter((index >= first) & (index < end))


@lru_cache(maxsize=8)
def _shard(url: str, kind: str, key: str, number: int) -> pa.Table:
    """Return a shard, empty if the step has none with this number; it is cached for its other partitions."""
    store, name = Store(url), f"rows-{number:05d}.parquet"
    if all(shard.file != name for shard in store.manifest(kind, key).shards):
        return schema(ROW_TYPES[kind]).empty_table()
    return store.read_table(posixpath.join(store.folder(kind, key), name))


def partitions_of(store: Store, kind: str, key: str, seeds: int | None = None) -> list[int]:
    """Return the numbers of the partitions in which a finished step has rows, sorted.

    With `seeds`, only rows of the first `seeds` seeds count.
    """
    found: set[int] = set()
    for table in store.tables(kind, key, columns=["index"]):
        index = table["index"].to_numpy()
        found.update(np.unique(index[index < seeds] if seeds is not None else index) // PARTITION_ROWS)
    return sorted(int(number) for number in found)
