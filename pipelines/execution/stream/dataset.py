"""The stream as a dataset of Ray Data: partitions are read from the store and mapped by a pool of workers.

A failure of a worker is a value of its output: Ray Data keeps only the text of an exception.
"""

from __future__ import annotations

import gc
import math
import pickle
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import ActorPoolStrategy, Datasource, ReadTask
from ray.data.block import BlockMetadata

from actors.serving.replica import to_picklable
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream.progress_actor import RemoteProgress
from pipelines.execution.stream.tree import TreeRoot
from pipelines.execution.stream.worker import StreamWorker
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.store.partitions import PARTITION_ROWS, partition_of
from pipelines.store.shards import partitions_of, read_partition_table
from pipelines.store.store import Store
from pipelines.study.plugins.shipping import Shipped

NODES_PER_WORKER = 2  # a worker keeps the engines of many more GPUs busy
PARTITIONS_PER_WORKER = 16  # fewer take less time than the start of another worker
PARTITIONS_PREFETCHED = 3  # beyond those that fill a queue, so that the last rows of a partition leave no gap
SOURCE, FAILURE = "source", "failure"  # columns: the key of a row's step, and a pickled exception
COLLECTION_THRESHOLD = 50_000  # new objects; open rows are many long-lived ones, which each collection looks through
MAX_NAME_STEPS = 3  # up to which an operator's name lists the labels of its steps


@dataclass(frozen=True)
class PoolSize:
    """The number of workers, and of the partitions that each of them processes at once."""

    min_workers: int
    max_workers: int
    open_partitions: int


def pool_size(nodes: int, partitions: int, open_rows: int, fixed_workers: int | None = None) -> PoolSize:
    """Return the size of the pool of workers.

    Args:
        nodes: The nodes of the cluster at its maximum size.
        partitions: The partitions of the stream.
        open_rows: The rows that fill a queue of every engine. The workers share them, so that a larger pool does not
            send more requests.
        fixed_workers: The number of workers, whatever the cluster.
    """
    useful = math.ceil(partitions / PARTITIONS_PER_WORKER)
    most = fixed_workers or max(1, min(nodes // NODES_PER_WORKER, useful))
    each = PARTITIONS_PREFETCHED + math.ceil(open_rows / PARTITION_ROWS / most)
    return PoolSize(fixed_workers or 1, most, each)


class PartitionSource(Datasource):
    """Reads the rows that enter a stream: one task, and one block, for each partition of each root."""

    def __init__(self, store: Store, roots: Sequence[TreeRoot]) -> None:
        super().__init__()
        self.url = store.url
        found = [(part, root) for root in roots for part in partitions_of(store, root.kind, root.key, root.seeds)]
        self.parts = [(root, part) for part, root in sorted(found, key=lambda each: each[0])]

    def get_name(self) -> str:
        """Return the name of the operator without the word "Read"."""
        return "Partitions"

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: the size is not known before the rows are read."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: object = None
    ) -> list[ReadTask]:
        """Return one task per partition, whatever the parallelism."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
        return [
            ReadTask(partial(_read_block, self.url, root.kind, root.key, partition, root.seeds), unknown)
            for root, partition in self.parts
        ]


def _read_block(url: str, kind: str, key: str, partition: int, seeds: int | None) -> list[pa.Table]:
    table = read_partition_table(url, kind, key, partition, seeds)
    return [table.append_column(SOURCE, pa.repeat(key, table.num_rows))]


class MapPartitions(StreamWorker):
    """The function of Ray Data's operator: it maps the rows of one partition to the results of all steps."""

    def __init__(self, store: Store, roots: Shipped[Sequence[TreeRoot]], progress: RemoteProgress) -> None:
        super().__init__(store, roots.value, progress)
        progress.register()
        gc.freeze()  # collections leave out what exists now: modules, which stay
        gc.set_threshold(COLLECTION_THRESHOLD)

    async def __call__(self, block: pa.Table) -> AsyncIterator[pa.Table]:
        """Finish the partition; yield one row per result once all of them are durable, or one row with a failure."""
        yield await self.map_block(block)

    async def map_block(self, block: pa.Table) -> pa.Table:
        """Return what `__call__` yields."""
        try:
            root = self.roots[block[SOURCE][0].as_py()]
            rows = from_table(ROW_TYPES[root.kind], block)
            state = await self.process_partition(root.key, partition_of(rows[0].index), rows)
        except Exception as error:  # raised again in the driver
            return _results([("", 1)], [_pickle_failure(error)])
        return _results(state.counts())


def _results(counts: Iterable[tuple[str, int]], failures: Sequence[bytes] = ()) -> pa.Table:
    """Return a table with one row per result, so that Ray Data counts the rows."""
    keys = pa.concat_arrays([pa.repeat(key, count) for key, count in counts])
    failed = pa.array([*failures] or [None] * len(keys), pa.binary())
    return pa.table({"step": keys, FAILURE: failed})


def _pickle_failure(error: Exception) -> bytes:
    """Return the cause of a failure, with its traceback as a note: a pickle has no traceback."""
    cause = root_cause(error)
    cause.add_note("".join(traceback.format_exception(cause)))
    return pickle.dumps(to_picklable(cause))


def raise_failure(block: pa.Table) -> None:
    """Raise the exception that a block of results reports, if any."""
    for pickled in block.column(FAILURE).drop_null().to_pylist():
        raise pickle.loads(pickled)


def stream_dataset(
    source: PartitionSource, mapper: type[MapPartitions], arguments: Sequence[Any], pool: PoolSize
) -> ray.data.Dataset:
    """Return the dataset of a stream's results, whose execution runs the stream.

    Ray Data spreads the workers over the nodes. They reserve no CPU: they wait for engines, which may have reserved all
    of them. They read their partitions themselves, because Ray Data fuses the two operators.

    Args:
        source: The partitions.
        mapper: The class of the workers. Its name is the operator's.
        arguments: Those of the class.
        pool: The number of workers.
    """
    read = ray.data.read_datasource(source, override_num_blocks=len(source.parts), num_cpus=0)
    return read.map_batches(
        mapper,  # pyright: ignore[reportArgumentType]
        fn_constructor_args=arguments,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0,
        compute=ActorPoolStrategy(
            min_size=pool.min_workers,
            max_size=pool.max_workers,
            max_concurrent_calls_per_actor=pool.open_partitions,
        ),
    )


def named_mapper(labels: Sequence[tuple[str, str]]) -> type[MapPartitions]:
    """Return the class of the workers that run steps with these (kind, label), under a name for Ray's dashboard."""
    return type(operator_name(labels), (MapPartitions,), {})


def operator_name(labels: Sequence[tuple[str, str]]) -> str:
    """Return a name for the operator that runs steps with these (kind, label): their labels or, if many, kinds."""
    if len(labels) <= MAX_NAME_STEPS:
        return ", ".join(label for _, label in labels)
    return ", ".join(f"{kind} x {count}" for kind, count in Counter(kind for kind, _ in labels).items())
