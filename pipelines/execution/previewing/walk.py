"""Passes a few rows through the steps of a stream, in this process. Answers are kept in the steps' journals.

A journal belongs to a partition of a step, and finds an answer by its request. The run that processes the whole
partition later therefore repeats no request of the preview.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from actors.engine import Classification, Generation, Request, TokenLogprobs
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.execution.stream.worker import apply_operator
from pipelines.rows.ids import row_id
from pipelines.rows.types import Rejection, Row
from pipelines.store.journal import Journal, JournalEntry, find_journals
from pipelines.store.journaled_client import Journals, current_journals
from pipelines.store.partitions import find_partitions, partition_of, read_partition
from pipelines.store.store import Store


@dataclass
class Usage:
    """Requests and tokens of a row, or of several: `asked` requests were sent, `reused` ones answered before."""

    asked: int = 0
    reused: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, answer: JournalEntry, fresh: bool) -> None:
        """Count one answer."""
        self.asked += fresh
        self.reused += not fresh
        if isinstance(answer, Generation):
            self.tokens_in += answer.tokens_in
            self.tokens_out += answer.tokens_out
        elif isinstance(answer, TokenLogprobs):
            self.tokens_in += len(answer.logprobs) + len(answer.alone)
        elif isinstance(answer, Classification):
            self.tokens_in += answer.tokens_in


_usage: ContextVar[Usage] = ContextVar("usage")  # of the row that the current task makes


class _MeteredJournal(Journal):
    """A journal that counts the answers of the row that is being made."""

    def lookup(self, request: Request) -> JournalEntry | None:
        """Return the journal's answer to a request; None if there is none."""
        found = super().lookup(request)
        if found is not None:
            _usage.get().add(found, fresh=False)
        return found

    async def append(self, request: Request, answer: JournalEntry) -> None:
        """Add an answer."""
        await super().append(request, answer)
        _usage.get().add(answer, fresh=True)


class _MeteredJournals(Journals):
    def for_step(self, kind: str, key: str) -> Journal:
        if key not in self.by_key:
            paths = self.earlier_paths.get(key, ())
            self.by_key[key] = _MeteredJournal(self.store, kind, key, self.partition, paths)
        return self.by_key[key]


@dataclass
class Walk:
    """Rows and rejections by step key, and by (step key, row id) what their requests used."""

    store: Store
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict[str, list[Row]](list))
    usage: dict[tuple[str, str], Usage] = field(default_factory=dict[tuple[str, str], Usage])

    async def run(self, roots: Sequence[TreeRoot]) -> None:
        """Pass the rows of every root, which are in `rows`, through the steps below it.

        Raises:
            Exception: The first failure of an engine or an operator that is not the failure of a row.
        """
        by_partition: dict[int, list[tuple[Row, TreeRoot]]] = defaultdict(list)
        for root in roots:
            for row in self.rows[root.key]:
                if not isinstance(row, Rejection):
                    by_partition[partition_of(row.index)].append((row, root))
        steps = {step.key: step.kind for root in roots for step in root.stream_steps()}
        journals = {key: find_journals(self.store, kind, key) for key, kind in steps.items()}
        try:
            async with asyncio.TaskGroup() as group:
                for partition, rows in by_partition.items():
                    paths = {key: found[partition] for key, found in journals.items() if partition in found}
                    group.create_task(self._partition(_MeteredJournals(self.store, partition, paths), steps, rows))
        except ExceptionGroup as error:
            raise root_cause(error) from None

    async def _partition(
        self, journals: Journals, steps: Mapping[str, str], rows: Sequence[tuple[Row, TreeRoot]]
    ) -> None:
        """Make all rows that derive from some rows of a partition, and keep the journals of the answers."""
        current_journals.set(journals)
        earlier = {key: self._earlier(kind, key, journals.partition) for key, kind in steps.items()}
        try:
            async with asyncio.TaskGroup() as group:
                for row, root in rows:
                    for node in root.children:
                        for draw in range(node.rows_per_input):
                            group.create_task(self._row(earlier, row, node, draw))
        finally:
            await asyncio.to_thread(journals.close)

    def _earlier(self, kind: str, key: str, partition: int) -> dict[str, Row]:
        """Return the rows that an unfinished run has made of a partition, by id."""
        found = find_partitions(self.store, kind, key).get(partition)
        if found is None:
            return {}
        done = read_partition(self.store, kind, found)
        return {row.id: row for row in (*done.rows, *done.rejections)}

    async def _row(self, earlier: Mapping[str, Mapping[str, Row]], row: Row, node: StepNode, draw: int) -> None:
        new_id = row_id(row.id, node.key, draw)
        usage = self.usage[node.key, new_id] = Usage()
        _usage.set(usage)
        result = earlier[node.key].get(new_id) or await apply_operator(node.operator, row, new_id)
        self.rows[node.key].append(result)
        if not isinstance(result, Rejection):
            below = [(child, number) for child in node.children for number in range(child.rows_per_input)]
            async with asyncio.TaskGroup() as group:
                for child, number in below:
                    group.create_task(self._row(earlier, result, child, number))

    def totals(self) -> Counter[str]:
        """Return the numbers of requests that were sent and reused."""
        return Counter(
            asked=sum(used.asked for used in self.usage.values()),
            reused=sum(used.reused for used in self.usage.values()),
        )
