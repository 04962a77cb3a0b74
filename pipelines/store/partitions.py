"""Rows of an unfinished step: one output per partition. The outputs become deterministic shards when it is complete.

A partition is a range of seed indices. All rows derived from a seed stay in the seed's partition. So a resumed run
reads only the outputs to know what is done, and a shard always has the same rows in the same order. The name of an
output contains the epoch of the run that wrote it, and the newest output is used. A run whose study was taken over may
still write outputs; they are ignored.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rows.arrow import from_table, schema, to_table, with_schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection, Row
from pipelines.store.errors import CorruptStore
from pipelines.store.store import Store

PARTITION_ROWS = 256
ROWS_SUFFIX, REJECTED_SUFFIX = ".rows.parquet", ".rejected.parquet"


@dataclass(frozen=True)
class PartitionRows:
    """The rows and rejections that one step made from a partition."""

    rows: list[Row]
    rejections: list[Rejection]


def partition_of(index: int) -> int:
    """Return the number of the partition that a seed index belongs to."""
    return index // PARTITION_ROWS


@dataclass(frozen=True)
class PartitionOutput:
    """The paths of a partition's complete output in an unfinished step, written by the run with this `epoch`."""

    epoch: int
    rows: str
    rejected: str | None


def write_partition(store: Store, kind: str, key: str, partition: int, output: PartitionRows) -> None:
    """Write a partition's complete output. The file of rows is written last: once it exists, so does the output."""
    folder = posixpath.join(store.folder(kind, key), "parts")
    name = f"{partition:08d}-{store.epoch:06d}"
    if output.rejections:
        store.write_table(folder, f"{name}{REJECTED_SUFFIX}", to_table(Rejection, output.rejections))
    store.write_table(folder, f"{name}{ROWS_SUFFIX}", to_table(ROW_TYPES[kind], output.rows))


def find_partitions(store: Store, kind: str, key: str) -> dict[int, PartitionOutput]:
    """Return the newest output of each partition of an unfinished step, by partition number."""
    paths = store.partition_files(kind, key, "*.parquet")  # sorted: the outputs of later epochs come last
    rejected = {path.removesuffix(REJECTED_SUFFIX): path for path in paths if path.endswith(REJECTED_SUFFIX)}
    found: dict[int, PartitionOutput] = {}
    for path in paths:
        if path.endswith(ROWS_SUFFIX):
            stem = path.removesuffix(ROWS_SUFFIX)
            partition, epoch = posixpath.basename(stem).split("-")
            found[int(partition)] = PartitionOutput(int(epoch), path, rejected.get(stem))
    return found


def read_partition(store: Store, kind: str, output: PartitionOutput) -> PartitionRows:
    """Return the content of a partition's output. Raises the errors of `read_partition_tables`."""
    rows, rejections = read_partition_tables(store, kind, output)
    return PartitionRows([*from_table(ROW_TYPES[kind], rows)], from_table(Rejection, rejections))


def read_partition_tables(store: Store, kind: str, output: PartitionOutput) -> tuple[pa.Table, pa.Table]:
    """Return the rows and the rejections of a partition's output, with the schemas of their types.

    Raises:
        CorruptStore: If the output is corrupt. It is removed, so that the next run recomputes the partition.
    """
    files = [
        store.read_bytes(path) for path in (output.rows, output.rejected) if path
    ]  # an OSError here comes from the file system, not from corrupt content
    try:
        rows, *rejected = (pq.read_table(pa.BufferReader(data), page_checksum_verification=True) for data in files)
        rejections = rejected[0] if rejected else schema(Rejection).empty_table()
        return with_schema(ROW_TYPES[kind], rows), with_schema(Rejection, rejections)
    except (pa.ArrowException, OSError) as error:
        store.fs.rm(output.rows)
        raise CorruptStore(f"{output.rows} is corrupt and was removed ({error}): run the study again") from error
