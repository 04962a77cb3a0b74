"""Compare a stream without barriers to a barrier after every step: `python -m benchmarks.no_barrier`.

The same study runs twice on the same pools of engines with variable latency: by the runner, and with a barrier after
every step. For the run with barriers only the time of requests counts, not the start of a step. The lower bound is the
pure service time of the bottleneck engine: the sum of all its scripted latencies, divided by its slots.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping

from actors.engine import Client
from actors.engines.scripted_engine import ScriptedEngine
from actors.serving.pool import Pool
from benchmarks.support.lab import Lab, figure, lab, study
from cluster.connection.session import connect
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.registry import OperatorInputs, make_operator
from pipelines.rows.ids import row_id
from pipelines.rows.types import Rejection, Row
from pipelines.store.shards import partitions_of, read_partition_rows
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.study import Study

ROWS = 900
GOAL = 1.1
SIGMA = 1.0
SLOTS = 16
LATENCY = {"evolver": 0.15, "teacher": 0.30, "scorer": 0.03}  # mean seconds


class ServiceTimeEngine(ScriptedEngine):
    """A scripted engine that does not wait, but adds up the seconds that it would have waited."""

    seconds = 0.0

    async def _serve(self, text: str, draw: Callable[[], random.Random]) -> None:
        self.seconds += self._latency * draw().lognormvariate(-(self._sigma**2) / 2, self._sigma)


def make_study() -> Study:
    """Return a study with three rounds of one evolver, answers to every round, and scores: 7 slow requests per row."""
    engine = {"engine": "scripted", "cpus": 0.2}
    models = {
        name: {**engine, "runtime": {"latency": seconds, "latency_sigma": SIGMA, "slots": SLOTS}}
        for name, seconds in LATENCY.items()
    }
    return study(
        models,
        ROWS,
        evolution={"evolvers": ["evolver"], "rounds": 3},
        responses={"teachers": ["teacher"]},
        scoring={"scorer": "scorer"},
    )


async def run_by_steps(here: Lab, clients: Mapping[str, Client]) -> float:
    """Run all steps one after another, each with all its rows at once, and return the seconds."""
    context, made = here.context, dict[str, list[Row]]()
    started = time.monotonic()
    for step in here.steps:
        source = step.inputs[0]
        rows = made.get(source.key) or step_rows(here, source)
        does = make_operator(OperatorInputs(step, clients[step.params.model], context.study.seed))
        results = await asyncio.gather(*(apply_operator(does, row, row_id(row.id, step.key)) for row in rows))
        made[step.key] = [row for row in results if not isinstance(row, Rejection)]
    return time.monotonic() - started


def step_rows(here: Lab, step: Step) -> list[Row]:
    """Return the rows of a finished step."""
    store = here.context.store
    return [
        row
        for unit in partitions_of(store, step.kind, step.key)
        for row in read_partition_rows(store, step.kind, step.key, unit)
    ]


def service_seconds(here: Lab) -> dict[str, float]:
    """Return each engine's pure service time, in seconds, for exactly the study's requests."""
    context = here.context
    engines = {
        name: ServiceTimeEngine(engine_spec(model, context.folder)) for name, model in context.study.models.items()
    }
    asyncio.run(run_by_steps(here, engines))
    return {name: engine.seconds / SLOTS for name, engine in engines.items()}


def print_table(pure: Mapping[str, float], busy: Mapping[str, float], ours: float, theirs: float) -> None:
    """Print the measurements."""
    floor = max(pure.values())
    print(f"{'':<28}{'seconds':>9}{'x bound':>9}")
    for name, seconds in pure.items():
        print(f"{name + ', pure service time':<28}{seconds:>9.1f}{seconds / floor:>9.2f}   busy {busy[name]:.1f} s")
    print(f"{'a barrier after each step':<28}{theirs:>9.1f}{theirs / floor:>9.2f}")
    print(f"{'no barriers (the runner)':<28}{ours:>9.1f}{ours / floor:>9.2f}")


def busy_seconds(pools: Mapping[str, Pool]) -> dict[str, float]:
    """Return the seconds during which each pool has had requests in flight."""
    return {name: pool.stats().totals.busy_seconds for name, pool in pools.items()}


def main() -> None:
    """Print a table and the figures."""
    with connect(None), lab(make_study()) as here:
        pure = service_seconds(here)
        theirs = asyncio.run(run_by_steps(here, {name: pool.client() for name, pool in here.pools.items()}))
        before = busy_seconds(here.pools)
        ours = here.stream()
        busy = {name: seconds - before[name] for name, seconds in busy_seconds(here.pools).items()}
    print_table(pure, busy, ours, theirs)
    floor = max(pure.values())
    print(f"{ROWS} rows, {SLOTS} slots per engine, log-normal latencies with sigma {SIGMA:g}")
    figure("no_barrier.barrier_ratio", theirs / floor, ">1.1")
    figure("no_barrier.ratio", ours / floor, f"<={GOAL}")


if __name__ == "__main__":
    main()
