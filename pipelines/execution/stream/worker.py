"""The worker of a stream: each row is evolved, answered and scored as soon as possible, without barriers between steps.

A worker holds rows and sends requests to the engines; it needs no GPU. All unfinished row-wise steps form one stream.
Ray Data schedules partitions of seeds. Within a partition, each row passes through the step tree independently.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from ray.exceptions import RayError

from actors.engine import PLUGIN_ERROR, EngineLost, LoadError, RequestError
from cluster.fault_points import hit
from pipelines.execution.stream.partition_state import PartitionState
from pipelines.execution.stream.totals import StepProgress
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import Rejection, Row
from pipelines.store.journal import find_journals
from pipelines.store.journaled_client import FLUSH_SECONDS, Journals, current_journals
from pipelines.store.partitions import find_partitions
from pipelines.store.shards import read_partition_rows
from pipelines.store.store import Store
from pipelines.study.plugins.active import plugin_error

T = TypeVar("T")


class ProgressSink(Protocol):
    """Receives the progress of workers; in production, a handle of the progress actor."""

    def add(self, progress: Mapping[str, StepProgress]) -> None:
        """Add progress by step key."""
        ...


class StreamWorker:
    """Passes the rows of partitions through all unfinished steps, up to `max_open_partitions` partitions at once."""

    def __init__(
        self, store: Store, roots: Sequence[TreeRoot], tally: ProgressSink, max_open_partitions: int = 4
    ) -> None:
        self.store, self.roots, self.progress_sink = store, roots, tally
        self.partition_slots = asyncio.Semaphore(max_open_partitions)
        self.steps = [step for root in roots for branch in root.children for step in branch.stream_steps(root.key)]
        self.partitions = {step.key: find_partitions(store, step.kind, step.key) for step in self.steps}
        self.journals = {step.key: find_journals(store, step.kind, step.key) for step in self.steps}

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Finish the partitions in `batch["unit"]`; yield them when all of their rows are durable."""
        async with asyncio.TaskGroup() as group:
            for unit in batch["unit"]:
                await self.partition_slots.acquire()
                group.create_task(self.process_partition(int(unit))).add_done_callback(
                    lambda _: self.partition_slots.release()
                )
        yield {"unit": np.asarray(batch["unit"])}

    async def process_partition(self, partition: int) -> None:
        """Finish one partition, from the rows and replies of earlier runs."""
        state = PartitionState(self.store, partition, self.steps, _of_partition(partition, self.partitions))
        self.progress_sink.add(state.resumed_progress)
        journals = Journals(self.store, partition, _of_partition(partition, self.journals))
        current_journals.set(journals)
        finished = asyncio.Event()
        flusher = asyncio.create_task(self.flush_periodically(state, journals, finished))
        try:
            async with asyncio.TaskGroup() as group:
                for root in self.roots:
                    for row in read_partition_rows(self.store, root.kind, root.key, partition):
                        for node in root.children:
                            for draw in range(node.rows_per_input):
                                group.create_task(self.process_row(state, row, node, draw))
        finally:
            finished.set()
            await flusher
            journals.close()
            self.progress_sink.add(state.progress())
        state.commit()
        hit("unit.sealed", partition)
        journals.delete()

    async def flush_periodically(self, state: PartitionState, journals: Journals, finished: asyncio.Event) -> None:
        """Report progress and make replies durable every FLUSH_SECONDS, until `finished` is set."""
        while not finished.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), FLUSH_SECONDS)
            self.progress_sink.add(state.progress())
            with contextlib.suppress(OSError):  # retried later; at the end of the partition it is raised
                await asyncio.to_thread(journals.flush)

    async def process_row(self, state: PartitionState, row: Row, node: StepNode, draw: int = 0) -> None:
        """Pass one row through a step and then, unless it is rejected, through the steps that follow."""
        new_id = row_id(row.id, node.key, draw)
        result = state.get(node.key, new_id)
        if result is None:
            started = time.monotonic()
            try:
                result = await apply_operator(node.operator, row, new_id)
            except Exception as error:
                error.add_note(f"{node.kind} step {node.key[:8]}, row {row.id[:8]}")
                raise
            state.add(node.key, result, time.monotonic() - started)
        if not isinstance(result, Rejection):
            followers = [(child, draw) for child in node.children for draw in range(child.rows_per_input)]
            await asyncio.gather(*(self.process_row(state, result, child, draw) for child, draw in followers))


def _of_partition(partition: int, found: Mapping[str, Mapping[int, T]]) -> dict[str, T]:
    """Return what was found for one partition, by step key."""
    return {key: by_partition[partition] for key, by_partition in found.items() if partition in by_partition}


async def apply_operator(operator: Operator[Any, Any], row: Row, new_id: str) -> Row:
    """Return the operator's result for a row: a new row, or a Rejection with the reason."""
    try:
        return await operator(row, new_id)
    except Rejected as why:
        return _rejection(row, new_id, "rejected", why.reason, why.detail, why.raw)
    except RequestError as why:
        return _rejection(row, new_id, "failed", why.reason, why.detail, "")
    except Exception as error:
        if isinstance(error, EngineLost | LoadError | RayError) or not (told := plugin_error(error)):
            raise
        return _rejection(row, new_id, "failed", PLUGIN_ERROR, told, "")


def _rejection(row: Row, new_id: str, status: str, reason: str, detail: str, raw: str) -> Rejection:
    return Rejection(**row.lineage(new_id), status=status, reason=reason, detail=detail, raw=raw)
