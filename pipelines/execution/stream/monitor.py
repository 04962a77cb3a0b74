"""What the user sees of a stream while it runs, and which engines have nothing more to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import ray
from ray.exceptions import RayError
from rich.markup import escape

from actors.serving.pool import Pool
from actors.serving.spec import PoolStats
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.events import event
from pipelines.execution.stream.totals import Total
from pipelines.study.graph.step import Step, model_of, rows_of_one

POLL_SECONDS = 0.5


@contextmanager
def shown(context: Context, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> Generator[None]:
    """Show progress and what happens to engines on the board while the block runs."""
    ended = Event()
    watcher = _Watcher(context, steps, pools, tally)
    thread = Thread(target=watcher.watch, args=(ended,), name="stream-watch", daemon=True)
    thread.start()
    through = False
    try:
        yield
        through = True
    finally:
        ended.set()
        thread.join()
        watcher.leave(through)


class _Watcher:
    def __init__(self, context: Context, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> None:
        self.context, self.pools, self.tally = context, pools, tally
        self.expected = {step.key: context.expected_rows(step) for step in steps}
        self.pending = {step.key: step for step in steps}
        self.steps: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self.steps[model_of(step)].append(step)
        self.heard = dict.fromkeys(pools, 0)
        self.resting: set[str] = set()

    def watch(self, ended: Event) -> None:
        """Look until the end."""
        while not ended.wait(POLL_SECONDS):
            with suppress(RayError):  # what is lost ends the stream itself, or comes back
                self.look()

    def leave(self, through: bool) -> None:
        """Hear the pools a last time: a short stream may never have been seen, and its tokens count.

        None is sent to rest any more: the next stream may need it at once.
        """
        if through:
            self.hear()
        for observe in self.context.pool_observers:
            observe({})

    def look(self) -> None:
        """Show where every step is and what the pools tell; let engines rest whose rows are all through."""
        totals: dict[str, Total] = ray.get(self.tally.totals.remote())
        for key, total in totals.items():
            self.context.board.update(key, self.pending[key].label, total.done, self.expected[key])
        through: set[str] = set()
        for key, step in self.pending.items():
            if totals.get(key, Total()).done == self.entering(step, totals, through):
                through.add(key)
        self.hear()
        for name, pool in self.pools.items():
            if name not in self.resting and all(step.key in through for step in self.steps[name]):
                self.resting.add(name)
                pool.rest()

    def hear(self) -> None:
        """Take note of what the pools tell."""
        stats = {name: pool.stats() for name, pool in self.pools.items()}
        for observe in self.context.pool_observers:
            observe(stats)
        for name, each in stats.items():
            self.tell(name, each)

    def entering(self, step: Step, totals: Mapping[str, Total], through: set[str]) -> int | None:
        """How many rows a step makes in all, of those that go into it; None while that is not known."""
        source = step.inputs[0]
        if source.key not in self.pending:
            return self.context.rows_of(source) * rows_of_one(step.job)
        return totals.get(source.key, Total()).rows * rows_of_one(step.job) if source.key in through else None

    def tell(self, name: str, stats: PoolStats) -> None:
        """Print what has happened to an engine since the last look."""
        for happened in stats.events:
            if happened.number > self.heard[name]:
                self.heard[name] = happened.number
                self.context.board.say(f"[yellow]{name}[/yellow]: {escape(happened.text)}")
                event("engine", model=name, text=happened.text)
