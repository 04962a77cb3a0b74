"""Rows of an unfinished step: a part for each unit, made into deterministic shards when the step is complete.

A unit is a range of seed indices. All that descends from a seed stays in its unit, so a unit's part is all that a
resumed run has to read to know what is done, and a shard is always the same rows in the same order. Parts are named by
the run that wrote them, and the newest one stands: what a run writes that lives on after its study was taken over by
another, is not looked at.
"""

from __future__ import annotations

import io
import posixpath
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rows.arrow import from_table, to_table
from pipelines.rows.types import ROW_TYPES, Rejection, Row
from pipelines.store.errors import CorruptStore
from pipelines.store.store import Store

PARTITION_ROWS = 256
ROWS_SUFFIX, REJECTED_SUFFIX = ".rows.parquet", ".rejected.parquet"


@dataclass(frozen=True)
class PartitionRows:
    """What became of a unit's rows in one step."""

    rows: list[Row]
    rejections: list[Rejection]


def partition_of(index: int) -> int:
    """The unit that a seed index belongs to."""
    return index // PARTITION_ROWS


@dataclass(frozen=True)
class PartitionOutput:
    """One unit's rows of an unfinished step, all of them, as the run number `epoch` made them."""

    epoch: int
    rows: str
    rejected: str | None


def write_partition(store: Store, kind: str, key: str, partition: int, output: PartitionRows) -> None:
    """Make all of a unit's rows of an unfinished step durable. The rows come last: with them, the part exists."""
    folder = posixpath.join(store.folder(kind, key), "parts")
    name = f"{partition:08d}-{store.epoch:06d}"
    if output.rejections:
        store.write_table(folder, f"{name}{REJECTED_SUFFIX}", to_table(Rejection, output.rejections))
    store.write_table(folder, f"{name}{ROWS_SUFFIX}", to_table(ROW_TYPES[kind], output.rows))


def find_partitions(store: Store, kind: str, key: str) -> dict[int, PartitionOutput]:
    """What is durable of an unfinished step, by unit: the part of the newest run that made one."""
    paths = store.partition_files(kind, key, "*.parquet")  # sorted: a later run's part comes after an earlier one's
    rejected = {path.removesuffix(REJECTED_SUFFIX): path for path in paths if path.endswith(REJECTED_SUFFIX)}
    found: dict[int, PartitionOutput] = {}
    for path in paths:
        if path.endswith(ROWS_SUFFIX):
            stem = path.removesuffix(ROWS_SUFFIX)
            partition, epoch = posixpath.basename(stem).split("-")
            found[int(partition)] = PartitionOutput(int(epoch), path, rejected.get(stem))
    return found


def read_partition(store: Store, kind: str, output: PartitionOutput) -> PartitionRows:
    """What a part holds. Raises Spoilt, and removes the part, if it can not be read: then it is made again."""
    files = [
        store.read_bytes(path) for path in (output.rows, output.rejected) if path
    ]  # an OSError here is no bad part
    try:
        rows, *rejected = (pq.read_table(io.BytesIO(data), page_checksum_verification=True) for data in files)
        rejections = [row for table in rejected for row in from_table(Rejection, table)]
        return PartitionRows([*from_table(ROW_TYPES[kind], rows)], rejections)
    except (pa.ArrowException, OSError) as error:
        store.fs.rm(output.rows)
        raise CorruptStore(
            f"{output.rows} could not be read and is removed ({error}): run the same command again"
        ) from error
