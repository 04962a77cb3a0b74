"""Displays the progress of a stream and the events of its engines, and scales pools to zero that have no work left."""

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
from pipelines.execution.stream.engine_pace import EnginePace
from pipelines.execution.stream.totals import StepTotal
from pipelines.study.graph.steps.step import Step

MONITOR_POLL_SECONDS = 0.5


@contextmanager
def monitored(context: RunContext, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> Generator[None]:
    """Display progress and engine events while the block runs. `tally` is the handle of the progress actor."""
    stopped = Event()
    watcher = StreamMonitor(context, steps, pools, tally)
    thread = Thread(target=watcher.run, args=(stopped,), name="stream-watch", daemon=True)
    thread.start()
    completed = False
    try:
        yield
        completed = True
    finally:
        stopped.set()
        thread.join()
        watcher.finish(completed)


class StreamMonitor:
    """Polls the progress actor and the pools of a stream."""

    def __init__(self, context: RunContext, steps: Sequence[Step], pools: Mapping[str, Pool], tally: Any) -> None:
        self.context, self.pools, self.progress_actor = context, pools, tally
        self.expected = {step.key: context.row_counts.expected(step) for step in steps}
        self.pending = {step.key: step for step in steps}
        self.steps: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self.steps[step.params.model].append(step)
        self.last_event_numbers = dict.fromkeys(pools, 0)
        self.idle_pools: set[str] = set()
        self.stats: dict[str, PoolStats] = {}
        self.paces: dict[str, EnginePace] = {}

    def run(self, ended: Event) -> None:
        """Poll until `ended` is set."""
        while not ended.wait(MONITOR_POLL_SECONDS):
            with suppress(RayError):  # a loss stops the stream itself, or is recovered
                self.poll()

    def finish(self, completed: bool) -> None:
        """Poll the pools a last time if the stream completed: a short stream may not have been polled yet.

        Do not scale pools to zero here: the next stream may need them immediately.
        """
        if completed:
            self.poll_pools()
        for name, pace in self.paces.items():
            if warning := pace.warning():
                self.context.progress.print(f"[yellow]{name}[/yellow]: {escape(warning)}")
        for observe in self.context.pool_observers:
            observe({})

    def poll(self) -> None:
        """Display the progress of steps and the events of pools; scale pools to zero whose steps are complete."""
        totals: dict[str, StepTotal] = ray.get(self.progress_actor.totals.remote())
        self.show_steps(totals)
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
        """Pass the statistics of the pools to the observers, and report their events."""
        self.stats = {name: pool.stats() for name, pool in self.pools.items()}
        for observe in self.context.pool_observers:
            observe(self.stats)
        for name, each in self.stats.items():
            self.report_events(name, each)
            self.paces.setdefault(name, EnginePace(each.totals)).observe(each.totals)

    def show_steps(self, totals: Mapping[str, StepTotal]) -> None:
        """Display the steps that have rows, and those whose model works on their first rows."""
        for key, step in self.pending.items():
            source, model = step.inputs[0].key, step.params.model
            works = model in self.stats and self.stats[model].in_flight > 0
            if key in totals or (works and (source in totals or source not in self.pending)):
                pace = self.paces[model].describe() if model in self.paces else ""
                done = totals.get(key, StepTotal()).done
                self.context.progress.update(key, step.label, done, self.expected[key], pace)

    def expected_inputs(self, step: Step, totals: Mapping[str, StepTotal], completed: set[str]) -> int | None:
        """Return how many rows a step processes in total; None until its source is complete."""
        source = step.inputs[0]
        if source.key not in self.pending:
            return self.context.row_counts.of(source) * step.params.rows_per_input
        return (
            totals.get(source.key, StepTotal()).rows * step.params.rows_per_input if source.key in completed else None
        )

    def report_events(self, name: str, stats: PoolStats) -> None:
        """Print and log the events of an engine since the last poll."""
        for happened in stats.events:
            if happened.number > self.last_event_numbers[name]:
                self.last_event_numbers[name] = happened.number
                self.context.progress.print(f"[yellow]{name}[/yellow]: {escape(happened.text)}")
                emit("engine", model=name, text=happened.text)
