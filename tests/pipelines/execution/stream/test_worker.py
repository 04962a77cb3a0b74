"""Rows walk through all unfinished steps without barriers; what is durable is never asked for again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.stream.totals import PartitionProgress, StreamTotals
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.execution.stream.worker import StreamWorker
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Rejected
from pipelines.rows.types import InstructionRow, Row
from pipelines.store.epochs import next_epoch
from pipelines.store.journaled_client import JournaledClient
from pipelines.store.partitions import PartitionOutput, PartitionRows, find_partitions, read_partition, write_partition
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.params.measures import ScoreParams
from pipelines.study.graph.steps.step import identify, make_step
from tests.support.timing import until

SEEDS = make_step(identify(SeedsParams, {}), "test", ScoreParams("m"), ())


@dataclass
class Clock:
    """Notes when which row went through which step."""

    events: list[tuple[str, int]] = field(default_factory=list)


KEYS = {"a": "first", "b": "second", "c": "third"}


@dataclass
class Append:
    """Adds its name to the instruction once its engine (itself) has answered. Some rows it answers late, or never.

    Rows in `slow`, and rows on which the engine crashes, come last: after `others` requests have been answered.
    """

    name: str
    clock: Clock
    slow: frozenset[int] = frozenset()
    rejects: frozenset[int] = frozenset()
    dies: frozenset[int] = frozenset()
    others: int = 0

    async def __call__(self, row: Row, new_id: str) -> InstructionRow:
        assert isinstance(row, InstructionRow)
        client = JournaledClient(cast("Client", self), "evolve", KEYS[self.name])
        await client.generate(GenerateRequest(new_id, (("user", str(row.index)),), Sampling()))
        if row.index in self.rejects:
            raise Rejected("tested")
        return replace(row, id=new_id, parent_id=row.id, instruction=f"{row.instruction} {self.name}")

    async def generate(self, request: GenerateRequest) -> Generation:
        index = int(request.messages[0][1])
        if index in self.slow | self.dies:
            await asyncio.to_thread(until, lambda: len(self.clock.events) >= self.others)
        if index in self.dies:
            raise ConnectionError("the engine is gone")
        await asyncio.sleep(0)
        self.clock.events.append((self.name, index))
        return Generation(request.id, self.name, "stop", 1, 1)


@dataclass
class Tally:
    totals: StreamTotals = field(default_factory=StreamTotals)

    def add(self, report: PartitionProgress) -> None:
        self.totals.add(report)

    def rows(self, key: str) -> int:
        return self.totals.by_step()[key].rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path))
    rows = [
        InstructionRow(
            row_id(str(i), "seed"), "", row_id(str(i), "seed"), i, 0, "seed", "go", "", "", "", "accepted", 0, 0
        )
        for i in range(6)
    ]
    commit_rows(made, SEEDS, [*rows], [], 6, 0.0)
    return made


def chain(first: Append, second: Append) -> list[TreeRoot]:
    below = StepNode("evolve", "second", second, ())
    return [TreeRoot("seeds", SEEDS.key, (StepNode("evolve", "first", first, (below,)),))]


def walk(store: Store, roots: list[TreeRoot]) -> Tally:
    tally = Tally()
    asyncio.run(StreamWorker(store, roots, tally).process_all())
    return tally


def durable(store: Store, key: str) -> PartitionRows:
    return read_partition(store, "evolve", find_partitions(store, "evolve", key)[0])


def test_every_row_goes_through_every_step(store: Store) -> None:
    clock = Clock()
    tally = walk(store, chain(Append("a", clock), Append("b", clock)))
    done = durable(store, "second")
    assert [row.instruction for row in done.rows if isinstance(row, InstructionRow)] == ["go a b"] * 6
    assert tally.rows("first") == tally.rows("second") == 6


def test_a_slow_row_holds_no_other_back(store: Store) -> None:
    clock = Clock()
    walk(store, chain(Append("a", clock, slow=frozenset({0}), others=5 + 5), Append("b", clock)))
    assert clock.events.index(("a", 0)) > max(clock.events.index(("b", row)) for row in range(1, 6))


def test_a_rejected_row_goes_no_further_and_is_kept_with_its_reason(store: Store) -> None:
    clock = Clock()
    walk(store, chain(Append("a", clock, rejects=frozenset({2})), Append("b", clock)))
    first, second = durable(store, "first"), durable(store, "second")
    assert (len(first.rows), [r.reason for r in first.rejections], len(second.rows)) == (5, ["tested"], 5)


def test_after_a_dead_engine_only_what_is_missing_is_asked_for(store: Store) -> None:
    before, after = Clock(), Clock()
    with pytest.raises(ExceptionGroup):
        dying = Append("b", before, dies=frozenset({4}), others=6 + 4)
        walk(store, chain(Append("a", before, rejects=frozenset({1})), dying))
    tally = walk(store, chain(Append("a", after, rejects=frozenset({1})), Append("b", after)))
    assert after.events == [("b", 4)], "what was answered is not asked again, also where a row was rejected"
    assert tally.rows("first") == 5 and tally.rows("second") == 5
    assert len(durable(store, "second").rows) == 5


def test_a_step_that_was_finished_meanwhile_is_a_root_like_any_other(store: Store) -> None:
    clock = Clock()
    walk(store, chain(Append("a", clock), Append("b", clock)))
    clock.events.clear()
    below = StepNode("evolve", "third", Append("c", clock), ())
    second = StepNode("evolve", "second", Append("b", clock), (below,))
    walk(store, [TreeRoot("seeds", SEEDS.key, (StepNode("evolve", "first", Append("a", clock), (second,)),))])
    assert clock.events == [("c", row) for row in range(6)]


def parts_of(store: Store, key: str) -> PartitionOutput:
    return find_partitions(store, "evolve", key)[0]


def test_a_unit_that_is_through_is_not_walked_again_and_leaves_no_answers(store: Store) -> None:
    clock = Clock()
    walk(store, chain(Append("a", clock), Append("b", clock)))
    assert store.partition_files("evolve", "first", "*.answers") == []
    clock.events.clear()
    tally = walk(store, chain(Append("a", clock), Append("b", clock)))
    assert clock.events == [] and tally.rows("second") == 6


@pytest.mark.parametrize("lost", ["removed", "cut"])
def test_what_was_made_of_rows_that_are_lost_is_made_again_with_them(store: Store, lost: str) -> None:
    clock = Clock()
    walk(store, chain(Append("a", clock), Append("b", clock)))
    path = Path(parts_of(store, "first").rows)
    path.write_bytes(path.read_bytes()[:-9])
    if lost == "removed":
        path.unlink()
    clock.events.clear()
    walk(Store(store.url, epoch=1), chain(Append("a", clock), Append("b", clock)))
    assert sorted(clock.events) == [(name, row) for name in "ab" for row in range(6)]
    assert {parts_of(store, key).epoch for key in ("first", "second")} == {1}


def test_a_late_part_of_an_earlier_run_is_not_mixed_with_a_later_ones(store: Store) -> None:
    clock, zombie = Clock(), Store(store.url, epoch=1)
    later = Store(store.url, epoch=2)
    walk(later, chain(Append("a", clock), Append("b", clock)))
    store.fs.rm(parts_of(store, "second").rows)  # the run crashed before it wrote this partition
    write_partition(zombie, "evolve", "second", 0, PartitionRows([], []))
    clock.events.clear()
    walk(Store(store.url, epoch=3), chain(Append("a", clock), Append("b", clock)))
    assert sorted(clock.events) == [("b", row) for row in range(6)]
    assert (parts_of(store, "first").epoch, parts_of(store, "second").epoch) == (2, 3)


def asked(store: Store) -> Clock:
    """The first step has answers and no rows: its run was killed."""
    with pytest.raises(ExceptionGroup):
        walk(store, chain(Append("a", clock := Clock()), Append("b", clock, dies=frozenset(range(6)), others=6)))
    return clock


def test_answers_that_a_zombie_removed_before_they_were_read_are_asked_for_again(store: Store) -> None:
    asked(store)
    clock, tally = Clock(), Tally()
    walker = StreamWorker(store, chain(Append("a", clock), Append("b", clock)), tally)
    for path in store.partition_files("evolve", "first", "*.answers"):
        store.fs.rm(path)
    asyncio.run(walker.process_all())
    assert sorted(clock.events) == [(name, row) for name in "ab" for row in range(6)]
    assert tally.rows("second") == 6


def test_a_zombie_that_is_through_leaves_the_answers_that_its_successor_will_read(store: Store) -> None:
    asked(store)
    left = store.partition_files("evolve", "first", "*.answers")
    zombie = Store(store.url, epoch=next_epoch(store))
    next_epoch(store)
    walk(zombie, chain(Append("a", Clock()), Append("b", Clock())))
    assert set(left) <= set(store.partition_files("evolve", "first", "*.answers"))


def test_a_part_that_lacks_rows_or_has_others_is_made_whole(store: Store) -> None:
    """Else the account of the step would never come out even."""
    clock = Clock()
    walk(store, chain(Append("a", clock), Append("b", clock)))
    for key, wrong in (("first", slice(2)), ("second", slice(0))):
        write_partition(Store(store.url, epoch=1), "evolve", key, 0, PartitionRows(durable(store, key).rows[wrong], []))
    stray = replace(durable(store, "first").rows[0], id="of a row that is gone")
    write_partition(
        Store(store.url, epoch=2), "evolve", "first", 0, PartitionRows([stray, *durable(store, "first").rows], [])
    )
    walk(Store(store.url, epoch=3), chain(Append("a", clock), Append("b", clock)))
    for key in ("first", "second"):
        assert sorted(row.index for row in durable(store, key).rows) == [*range(6)]
