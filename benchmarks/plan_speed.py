"""Time the planning of a study with 10,000 cells: `python -m benchmarks.plan_speed`."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from pipelines.planning.plan import Plan, make_plan
from pipelines.store.store import Store
from pipelines.study.spec.common.basics import World
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Responses
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Recipe, Student

RUNS = 5
GOAL_SECONDS = 2.0


def study() -> Study:
    """Return a study of 20 evolvers x 3 rounds (and the seeds) x 33 teachers x 5 students: 10,065 trained cells."""
    names = [f"model-{number:02d}" for number in range(33)]
    return Study(
        study="plan_speed",
        seeds=[Seeds(name="world", world=World(count=1000))],
        models={name: Model(source=name, engine="scripted") for name in names},
        evolution=[Evolution(evolvers=names[:20], rounds=3)],
        responses=Responses(teachers=names),
        recipes={"full": Recipe()},
        students=[Student(model=name, recipe="full") for name in names[:5]],
        benchmarks=[Benchmark(name="world", world=World(count=200))],
    )


def time_plan(big: Study, folder: Path) -> tuple[float, Plan]:
    """Plan the study with an empty store, like a user's first `evolgrid plan`, and return the seconds and the plan."""
    started = time.perf_counter()
    plan = make_plan(big, folder, Store(str(folder)))
    return time.perf_counter() - started, plan


def main() -> None:
    """Print a table and the figure."""
    big = study()
    with tempfile.TemporaryDirectory() as folder:
        runs = [time_plan(big, Path(folder)) for _ in range(RUNS)]
    plan = runs[0][1]
    print(f"{'run':>4} {'seconds':>8}")
    for number, (seconds, _) in enumerate(runs, start=1):
        print(f"{number:>4} {seconds:>8.3f}")
    print(f"{len(plan.grid.cells):,} cells, {len(plan.grid.steps):,} steps; median of {RUNS} runs")
    print(f"plan_speed.seconds value={statistics.median(s for s, _ in runs):.2f} goal<{GOAL_SECONDS}")


if __name__ == "__main__":
    main()
