"""The worker of a stream: each row is evolved, answered and scored as soon as possible, without barriers between steps.

A worker holds rows and sends requests to the engines; it needs no GPU. All unfinished row-wise steps form one stream.
Ray Data schedules partitions of seeds. Within a partition, each row passes through the step tree independently.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ray.exceptions import RayError

from actors.engine import PLUGIN_ERROR, EngineLost, LoadError, RequestError
from cluster.fault_points import hit
from pipelines.execution.stream.partition_state import PartitionState
from pipelines.execution.stream.totals import PartitionProgress
from pipelines.execution.stream.tree import StepNode, StreamStep, TreeRoot
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import Rejection, Row
from pipelines.store.journal import find_journals
from pipelines.store.journaled_client import FLUSH_SECONDS, Journals, current_journals
from pipelines.store.partitions import find_partitions
from pipelines.store.shards import partitions_of, read_partition_rows
from pipelines.store.store import Store
from pipelines.study.plugins.active import plugin_error

T = TypeVar("T")


class ProgressSink(Protocol):
    """Receives the progress of workers; in production, a handle of the progress actor."""

    def add(self, report: PartitionProgress) -> None:
        """Add what a worker reports about one partition."""
        ...


@dataclass
class _Reports:
    """Sends the progress of one partition to `sink`. A call of an actor takes as long as several rows."""

    sink: ProgressSink
    source: str
    partition: int
    state: PartitionState
    sent: int = 0

    def send(self, last: bool = False) -> None:
        """Send what is new since the last report."""
        progress = self.state.progress()
        self.sink.add(PartitionProgress(self.source, self.partition, progress, first=self.sent == 0, last=last))
        self.sent += 1


class StreamWorker:
    """Passes the rows of partitions through all unfinished steps. Partitions may be processed concurrently."""

    def __init__(self, store: Store, roots: Sequence[TreeRoot], progress: ProgressSink) -> None:
        self.store, self.progress_sink = store, progress
        self.roots = {root.key: root for root in roots}
        self.steps = {root.key: root.stream_steps() for root in roots}
        steps = [step for below in self.steps.values() for step in below]
        self.partitions = {step.key: find_partitions(store, step.kind, step.key) for step in steps}
        self.journals = {step.key: find_journals(store, step.kind, step.key) for step in steps}

    async def process_all(self, max_open: int = 4) -> None:
        """Finish all partitions of all roots in this process, up to `max_open` of them at once."""
        slots = asyncio.Semaphore(max_open)
        async with asyncio.TaskGroup() as group:
            for root in self.roots.values():
                for partition in partitions_of(self.store, root.kind, root.key, root.seeds):
                    await slots.acquire()
                    rows = read_partition_rows(self.store, root.kind, root.key, partition, root.seeds)
                    task = group.create_task(self.process_partition(root.key, partition, rows))
                    task.add_done_callback(lambda _: slots.release())

    async def process_partition(self, source: str, partition: int, rows: Sequence[Row]) -> PartitionState:
        """Finish one partition, from the rows and replies of earlier runs. All of its rows are durable afterwards.

        If only a part of the partition enters the stream, its replies are kept: the run that finishes it may be killed
        when a step's rows are newer than those that were made from them, which are then recomputed.

        Args:
            source: The key of the root that the rows belong to.
            partition: The partition's number.
            rows: All rows of the root in this partition that enter the stream.
        """
        steps = self.steps[source]
        state = PartitionState(self.store, partition, steps, _of_partition(partition, self.partitions, steps))
        reports = _Reports(self.progress_sink, source, partition, state)
        journals = Journals(self.store, partition, _of_partition(partition, self.journals, steps))
        current_journals.set(journals)
        finished = asyncio.Event()
        flusher = asyncio.create_task(self.flush_periodically(reports, journals, finished))
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    for row in rows:
                        for node in self.roots[source].children:
                            for draw in range(node.rows_per_input):
                                group.create_task(self.process_row(state, row, node, draw))
            finally:
                finished.set()
                await flusher
            await asyncio.to_thread(state.commit)  # other partitions do not wait for the disk
        except BaseException:
            reports.send()
            journals.close()
            raise
        hit("unit.sealed", partition)
        await asyncio.to_thread(journals.delete if self.roots[source].covers(partition) else journals.close)
        reports.send(last=True)
        return state

    async def flush_periodically(self, reports: _Reports, journals: Journals, finished: asyncio.Event) -> None:
        """Report progress and make replies durable every FLUSH_SECONDS, until `finished` is set."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), FLUSH_SECONDS)
                return
            reports.send()
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
        if not node.children or isinstance(result, Rejection):
            return
        followers = [(child, draw) for child in node.children for draw in range(child.rows_per_input)]
        last = followers.pop()  # runs in this task: a new one for each row of a chain of steps would take longer
        others = [self.process_row(state, result, child, draw) for child, draw in followers]
        await asyncio.gather(self.process_row(state, result, *last), *others) if others else await self.process_row(
            state, result, *last
        )


def _of_partition(partition: int, found: Mapping[str, Mapping[int, T]], steps: Sequence[StreamStep]) -> dict[str, T]:
    """Return what was found for one partition of these steps, by step key."""
    return {step.key: found[step.key][partition] for step in steps if partition in found[step.key]}


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
