"""Sets up a study in a temporary store, with its seeds written and its pools ready, for benchmarks."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from actors.serving.pool import Pool
from actors.serving.residency import ModelResidency
from cluster.resources.inventory import max_inventory
from pipelines.execution.runtime.context import MODEL_READY_TIMEOUT, RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.stream.run import run_phase
from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.residency.phases import Phase
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study


@dataclass
class Lab:
    """A study whose models all fit at once, and its plan before the run.

    `steps` are its row-wise steps, which are initially unfinished.
    """

    context: RunContext
    plan: Plan
    residency: ModelResidency
    steps: tuple[Step, ...]
    pools: Mapping[str, Pool]

    def stream(self, *steps: Step) -> float:
        """Run these steps, or all steps if none are given, until they are committed. Return the seconds."""
        started = time.monotonic()
        (phase,) = self.context.phases(steps or self.steps)
        run_phase(self.context, phase, self.pools, started)
        return time.monotonic() - started

    def first_request(self) -> list[float]:
        """Return a list to which a thread appends the monotonic time at which the first request reaches an engine."""
        noted: list[float] = []
        done = sum(pool.stats().totals.requests for pool in self.pools.values())

        def watch() -> None:
            while not noted:
                stats = [pool.stats() for pool in self.pools.values()]
                if any(each.in_flight for each in stats) or sum(each.totals.requests for each in stats) > done:
                    noted.append(time.monotonic())
                time.sleep(0.01)

        threading.Thread(target=watch, daemon=True).start()
        return noted


@contextmanager
def lab(study: Study, stream_workers: int | None = None) -> Generator[Lab]:
    """Set up a lab on the connected Ray. Its files and pools are removed at the end of the block.

    `stream_workers` is the number of workers of its streams; by default, it follows from the cluster.
    """
    with tempfile.TemporaryDirectory() as folder, ProgressDisplay(Console(file=io.StringIO())) as board:
        store = Store(folder)
        plan = make_plan(study, Path(folder), store)
        context = RunContext(study, Path(folder), store, board, max_inventory(), stream_workers=stream_workers)
        for step in plan.pending_of("seeds"):
            run_seeds(study, Path(folder), store, step)
        steps = plan.pending_row_wise
        phase: Phase = context.phases(steps)[0]
        with context.residency() as stage:
            yield Lab(context, plan, stage, steps, stage.activate(phase.models, [], MODEL_READY_TIMEOUT))


@contextmanager
def peak_memory() -> Generator[list[int]]:
    """Yield a list with one number: the peak resident memory of this process within the block so far, in bytes."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], psutil.Process().memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield peak
    finally:
        ended.set()


@contextmanager
def worker_cpu() -> Generator[dict[int, float]]:
    """Yield the CPU seconds of the workers of streams within the block so far, start included, by process id."""
    seconds, ended = dict[int, float](), threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if " ".join(process.cmdline()).startswith("ray::MapWorker"):
                        times = process.cpu_times()
                        seconds[process.pid] = times.user + times.system

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield seconds
    finally:
        ended.set()


def study(models: Mapping[str, Mapping[str, Any]], rows: int, **content: Any) -> Study:
    """Return a study of `rows` instructions of the bundled world with these models. `content` sets or replaces keys."""
    base: dict[str, Any] = {
        "study": "benchmark",
        "seeds": [{"name": "world", "world": {"count": rows}}],
        "models": {name: {"source": name, **model} for name, model in models.items()},
    }
    return Study.model_validate(base | content)


def figure(name: str, value: float, goal: str, digits: int = 2) -> None:
    """Print one figure in the format of a benchmark's last lines: name, value and goal."""
    print(f"{name} value={value:.{digits}f} goal{goal}")
