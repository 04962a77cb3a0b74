"""The display shows every step. A pool is scaled to zero when all of its steps have finished, and not before."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError
from rich.console import Console

from actors.serving.spec import PoolEvent, PoolStats, ReplicaStats
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.stream import monitor as watch
from pipelines.execution.stream.monitor import monitored
from pipelines.execution.stream.progress_actor import progress_actor
from pipelines.execution.stream.totals import StepTotal
from pipelines.rows.kinds import Kind
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.params.measures import ScoreParams
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import Step, identify, make_step
from tests.support.timing import until

SEEDS = make_step(identify(SeedsParams, {}), "test", ScoreParams("m"), ())
EMPTY = PoolStats((), 1, 0, 0, ReplicaStats(), frozenset(), (), ())


def step(name: str, model: str, source: Step, kind: Kind = "score") -> Step:
    return make_step(identify(STEP_PARAMS[kind], {"name": name}), name, ScoreParams(model), (source,))


A1 = step("first", "a", SEEDS)
A2 = step("second", "a", A1)
B = step("last", "b", A2)


@dataclass
class FakePool:
    """Counts how often it is scaled to zero."""

    rests: int = 0
    events: tuple[PoolEvent, ...] = ()

    def scale_to_zero(self) -> None:
        self.rests += 1

    def stats(self) -> PoolStats:
        return replace(EMPTY, events=self.events)


@dataclass
class FakeContext:
    """Ten seeds."""

    progress: ProgressDisplay = field(default_factory=lambda: ProgressDisplay(Console(file=StringIO(), width=200)))
    seeds: int = 10
    pool_observers: tuple[()] = ()

    @property
    def row_counts(self) -> FakeContext:
        return self

    def of(self, step: Step) -> int:
        assert step is SEEDS
        return self.seeds

    def expected(self, step: Step) -> int:
        return self.seeds

    def said(self) -> str:
        file = self.progress.console.file
        assert isinstance(file, StringIO)
        return file.getvalue()


class Scene:
    """Steps A1 -> A2 of model a, B of model b, and what the watcher sees when totals change."""

    def __init__(self, tally: Any) -> None:
        self.tally, self.context = tally, FakeContext()
        self.pools = {"a": FakePool(), "b": FakePool()}
        self.watcher = watch.StreamMonitor(self.context, [A1, A2, B], self.pools, tally)  # type: ignore[arg-type]

    def look(self, totals: Mapping[Step, StepTotal]) -> dict[str, int]:
        """How often each engine has been told to rest when these are the totals."""
        self.tally.totals.values = {step.key: total for step, total in totals.items()}
        self.watcher.poll()
        return {name: pool.rests for name, pool in self.pools.items()}


class Remote:
    """Stands in for an actor's method."""

    def __init__(self) -> None:
        self.values: dict[str, StepTotal] = {}

    def remote(self) -> dict[str, StepTotal]:
        return self.values


class FakeTally:
    def __init__(self) -> None:
        self.totals = Remote()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(ray, "get", lambda value: value)
    return Scene(FakeTally())


def test_an_engine_rests_when_all_its_steps_are_through(scene: Scene) -> None:
    assert scene.look({}) == {"a": 0, "b": 0}
    assert scene.look({A1: StepTotal(rows=10), A2: StepTotal(rows=9)}) == {"a": 0, "b": 0}
    assert scene.look({A1: StepTotal(rows=10), A2: StepTotal(rows=10), B: StepTotal(rows=9)}) == {"a": 1, "b": 0}
    assert scene.look({A1: StepTotal(rows=10), A2: StepTotal(rows=10), B: StepTotal(rows=10)}) == {"a": 1, "b": 1}
    assert scene.look({A1: StepTotal(rows=10), A2: StepTotal(rows=10), B: StepTotal(rows=10)}) == {
        "a": 1,
        "b": 1,
    }  # told once


def test_rows_that_fall_out_are_not_waited_for_further_down(scene: Scene) -> None:
    first = StepTotal(rows=7, rejected=2, failed=1)
    assert scene.look({A1: first, A2: StepTotal(rows=6)}) == {"a": 0, "b": 0}
    assert scene.look({A1: first, A2: StepTotal(rows=6, failed=1), B: StepTotal(rows=5)}) == {"a": 1, "b": 0}
    assert scene.look({A1: first, A2: StepTotal(rows=6, failed=1), B: StepTotal(rows=6)}) == {"a": 1, "b": 1}


def test_a_step_is_not_through_while_rows_may_still_come(scene: Scene) -> None:
    assert scene.look({A1: StepTotal(rows=5), A2: StepTotal(rows=5), B: StepTotal(rows=5)}) == {"a": 0, "b": 0}


def test_looking_goes_on_after_rays_actors_could_not_be_reached(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    failures, ended = [ActorUnavailableError("reset", None)], threading.Event()

    def get(_: object) -> dict[str, StepTotal]:
        if failures:
            raise failures.pop()
        ended.set()
        return {}

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(watch, "MONITOR_POLL_SECONDS", 0.01)
    scene.watcher.run(ended)
    assert not failures and ended.is_set()


def test_the_board_has_a_bar_for_every_step_that_has_begun(scene: Scene) -> None:
    scene.look({A1: StepTotal(rows=3, rejected=1)})
    (task,) = scene.context.progress.bars.tasks
    assert (task.description, task.completed, task.total) == (A1.label, 4, 10)


def test_what_happens_to_an_engine_is_told_once(scene: Scene) -> None:
    scene.pools["a"].events = (PoolEvent(1, "a replica died"),)
    scene.look({})
    scene.pools["a"].events = (PoolEvent(1, "a replica died"), PoolEvent(2, "it died again"))
    scene.look({})
    scene.look({})
    assert scene.context.said().splitlines() == ["a: a replica died", "a: it died again"]


@pytest.fixture
def tally(ray_local: object) -> Iterator[Any]:
    with progress_actor() as actor:
        yield actor


def test_while_the_block_runs_somebody_looks_and_no_longer(tally: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MONITOR_POLL_SECONDS", 0.01)
    pool, context = FakePool(events=(PoolEvent(1, "it started"),)), FakeContext(seeds=0)
    with monitored(context, [A1], {"a": pool}, tally):  # type: ignore[arg-type, dict-item]
        until(lambda: pool.rests == 1)
    assert "stream-watch" not in {thread.name for thread in threading.enumerate()}
    assert context.said() == "a: it started\n"
