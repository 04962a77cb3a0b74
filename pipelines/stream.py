"""Rows on Ray Data: each one goes through its evolutions, answers and scores as soon as it can, without barriers.

A worker of the stream is a light client: it holds rows and asks the engines. All unfinished row-wise steps are one
stream; what Ray Data deals out are units of seeds, and a unit's rows walk the tree of steps one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from actors.engine import RequestError
from pipelines.ledger import Ledger, Progress
from pipelines.operators import Operator, Rejected
from pipelines.rows import Rejection, Row, row_id
from pipelines.store.parts import find_parts, read_unit
from pipelines.store.store import Store

FLUSH_SECONDS = 2.0


@dataclass(frozen=True)
class Branch:
    """An unfinished row-wise step, and those that continue from its rows. It makes `draws` rows of each."""

    kind: str
    key: str
    operator: Operator
    children: tuple[Branch, ...]
    draws: int = 1

    def walk(self) -> Iterator[Branch]:
        """This branch and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Root:
    """A finished step whose rows enter the stream, and the unfinished steps that start from them."""

    kind: str
    key: str
    branches: tuple[Branch, ...]


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
        branches = [found for root in roots for branch in root.branches for found in branch.walk()]
        self.steps = [(branch.kind, branch.key) for branch in branches]
        self.parts = {key: find_parts(store, kind, key) for kind, key in self.steps}

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Finish the units in `batch["unit"]`; yields them when everything of theirs is durable."""
        async with asyncio.TaskGroup() as group:
            for unit in batch["unit"]:
                await self.units_at_once.acquire()
                group.create_task(self.unit(int(unit))).add_done_callback(lambda _: self.units_at_once.release())
        yield {"unit": np.asarray(batch["unit"])}

    async def unit(self, unit: int) -> None:
        """Finish one unit."""
        parts = {key: found[unit] for key, found in self.parts.items() if unit in found}
        ledger = Ledger(self.store, unit, self.steps, parts)
        self.tally.add(ledger.resumed)
        flusher = asyncio.create_task(self.flush_often(ledger))
        try:
            async with asyncio.TaskGroup() as group:
                for root in self.roots:
                    for row in read_unit(self.store, root.kind, root.key, unit):
                        for branch in root.branches:
                            for draw in range(branch.draws):
                                group.create_task(self.walk(ledger, row, branch, draw))
        finally:
            flusher.cancel()
            self.flush(ledger)

    async def flush_often(self, ledger: Ledger) -> None:
        """Flush every few seconds until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush(ledger)

    def flush(self, ledger: Ledger) -> None:
        """Make what there is durable and report it."""
        progress = ledger.flush()
        if progress:
            self.tally.add(progress)

    async def walk(self, ledger: Ledger, row: Row, branch: Branch, draw: int = 0) -> None:
        """Take one row through a step and, as soon as that is done, through the steps that follow."""
        new_id = row_id(row.id, branch.key, draw)
        made = ledger.get(new_id)
        if made is None:
            started = time.monotonic()
            made = await make(branch.operator, row, new_id)
            ledger.add(branch.key, made, time.monotonic() - started)
        if not isinstance(made, Rejection):
            below = [(child, draw) for child in branch.children for draw in range(child.draws)]
            await asyncio.gather(*(self.walk(ledger, made, child, draw) for child, draw in below))


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
