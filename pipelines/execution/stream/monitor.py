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
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.stream.totals import StepTotal
from pipelines.study.graph.step import Step

MONITOR_POLL_SECONDS = 0.5


@contextmanager
def monitored(context: RunContext, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> Generator[None]:
    """Show progress and what happens to engines on the board while the block runs."""
    ended = Event()
    watcher = StreamMonitor(context, steps, pools, tally)
    thread = Thread(target=watcher.run, args=(ended,), name="stream-watch", daemon=True)
    thread.start()
    completed = False
    try:
        yield
        completed = True
    finally:
        ended.set()
        thread.join()
        watcher.finish(completed)


class StreamMonitor:
    def __init__(self, context: RunContext, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> None:
        self.context, self.pools, self.progress_actor = context, pools, tally
        self.expected = {step.key: context.row_counts.expected(step) for step in steps}
        self.pending = {step.key: step for step in steps}
        self.steps: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self.steps[step.params.model].append(step)
        self.last_event_numbers = dict.fromkeys(pools, 0)
        self.idle_pools: set[str] = set()

    def run(self, ended: Event) -> None:
        """Look until the end."""
        while not ended.wait(MONITOR_POLL_SECONDS):
            with suppress(RayError):  # what is lost ends the stream itself, or comes back
                self.poll()

    def finish(self, completed: bool) -> None:
        """Hear the pools a last time: a short stream may never have been seen, and its tokens count.

        None is sent to rest any more: the next stream may need it at once.
        """
        if completed:
            self.poll_pools()
        for observe in self.context.pool_observers:
            observe({})

    def poll(self) -> None:
        """Show where every step is and what the pools tell; let engines rest whose rows are all through."""
        totals: dict[str, StepTotal] = ray.get(self.progress_actor.totals.remote())
        for key, total in totals.items():
            self.context.progress.update(key, self.pending[key].label, total.done, self.expected[key])
        completed: set[str] = set()
        for key, step in self.pending.items():
            if totals.get(key, StepTotal()).done == self.expected_inputs(step, totals, completed):
                completed.add(key)
        self.poll_pools()
        for name, pool in self.pools.items():
            if name not in self.idle_pools and all(step.key in completed for step in self.steps[name]):
                self.idle_pools.add(name)
                pool.scale_to_zero()

    def poll_pools(self) -> None:
        """Take note of what the pools tell."""
        stats = {name: pool.stats() for name, pool in self.pools.items()}
        for observe in self.context.pool_observers:
            observe(stats)
        for name, each in stats.items():
            self.report_events(name, each)

    def expected_inputs(self, step: Step, totals: Mapping[str, StepTotal], completed: set[str]) -> int | None:
        """How many rows a step makes in all, of those that go into it; None while that is not known."""
        source = step.inputs[0]
        if source.key not in self.pending:
            return self.context.row_counts.of(source) * step.params.rows_per_input
        return (
            totals.get(source.key, StepTotal()).rows * step.params.rows_per_input if source.key in completed else None
        )

    def report_events(self, name: str, stats: PoolStats) -> None:
        """Print what has happened to an engine since the last look."""
        for happened in stats.events:
            if happened.number > self.last_event_numbers[name]:
                self.last_event_numbers[name] = happened.number
                self.context.progress.print(f"[yellow]{name}[/yellow]: {escape(happened.text)}")
                emit("engine", model=name, text=happened.text)
