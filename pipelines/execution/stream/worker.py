"""Rows on Ray Data: each one goes through its evolutions, answers and scores as soon as it can, without barriers.

A worker of the stream is a light client: it holds rows and asks the engines. All unfinished row-wise steps are one
stream; what Ray Data deals out are units of seeds, and a unit's rows walk the tree of steps one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from actors.engine import RequestError
from cluster.fault_points import reached
from pipelines.execution.stream.partition_state import Ledger
from pipelines.execution.stream.totals import Progress
from pipelines.execution.stream.tree import Branch, Root
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import Rejection, Row
from pipelines.store.journal import find_journals
from pipelines.store.journaled_client import FLUSH_SECONDS, Journals, here
from pipelines.store.partitions import find_parts
from pipelines.store.shards import read_unit
from pipelines.store.store import Store

T = TypeVar("T")


class Tally(Protocol):
    """Who is told about progress: an actor handle in production."""

    def add(self, progress: Mapping[str, Progress]) -> None:
        """Take note of what was added to each step (by key)."""
        ...


class Walker:
    """Walks the rows of units through all unfinished steps, several units at once."""

    def __init__(self, store: Store, roots: Sequence[Root], tally: Tally, units_at_once: int = 4) -> None:
        self.store, self.roots, self.tally = store, roots, tally
        self.units_at_once = asyncio.Semaphore(units_at_once)
        self.steps = [step for root in roots for branch in root.branches for step in branch.walk(root.key)]
        self.parts = {step.key: find_parts(store, step.kind, step.key) for step in self.steps}
        self.journals = {step.key: find_journals(store, step.kind, step.key) for step in self.steps}

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Finish the units in `batch["unit"]`; yields them when everything of theirs is durable."""
        async with asyncio.TaskGroup() as group:
            for unit in batch["unit"]:
                await self.units_at_once.acquire()
                group.create_task(self.unit(int(unit))).add_done_callback(lambda _: self.units_at_once.release())
        yield {"unit": np.asarray(batch["unit"])}

    async def unit(self, unit: int) -> None:
        """Finish one unit."""
        ledger = Ledger(self.store, unit, self.steps, _at(unit, self.parts))
        self.tally.add(ledger.resumed)
        journals = Journals(self.store, unit, _at(unit, self.journals))
        here.set(journals)
        ended = asyncio.Event()
        flusher = asyncio.create_task(self.flush_often(ledger, journals, ended))
        try:
            async with asyncio.TaskGroup() as group:
                for root in self.roots:
                    for row in read_unit(self.store, root.kind, root.key, unit):
                        for branch in root.branches:
                            for draw in range(branch.draws):
                                group.create_task(self.walk(ledger, row, branch, draw))
        finally:
            ended.set()
            await flusher
            journals.close()
            self.tally.add(ledger.progress())
        ledger.seal()
        reached("unit.sealed", unit)
        journals.drop()

    async def flush_often(self, ledger: Ledger, journals: Journals, ended: asyncio.Event) -> None:
        """Report, and make answers durable, every few seconds until the end."""
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), FLUSH_SECONDS)
            self.tally.add(ledger.progress())
            with contextlib.suppress(OSError):  # the store is away for a moment; at the end of the unit it counts
                await asyncio.to_thread(journals.flush)

    async def walk(self, ledger: Ledger, row: Row, branch: Branch, draw: int = 0) -> None:
        """Take one row through a step and, as soon as that is done, through the steps that follow."""
        new_id = row_id(row.id, branch.key, draw)
        made = ledger.get(branch.key, new_id)
        if made is None:
            started = time.monotonic()
            made = await make(branch.operator, row, new_id)
            ledger.add(branch.key, made, time.monotonic() - started)
        if not isinstance(made, Rejection):
            below = [(child, draw) for child in branch.children for draw in range(child.draws)]
            await asyncio.gather(*(self.walk(ledger, made, child, draw) for child, draw in below))


def _at(unit: int, found: Mapping[str, Mapping[int, T]]) -> dict[str, T]:
    """What was found of one unit, by step."""
    return {key: units[unit] for key, units in found.items() if unit in units}


async def make(operator: Operator, row: Row, new_id: str) -> Row:
    """What the operator makes of a row: a new row, or a Rejection that says why there is none."""
    try:
        return await operator(row, new_id)
    except Rejected as why:
        return _rejection(row, new_id, "rejected", why.reason, why.detail, why.raw)
    except RequestError as why:
        return _rejection(row, new_id, "failed", why.reason, why.detail, "")


def _rejection(row: Row, new_id: str, status: str, reason: str, detail: str, raw: str) -> Rejection:
    return Rejection(new_id, row.id, row.seed_id, row.index, status, reason, detail, raw)
