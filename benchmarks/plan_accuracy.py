"""Measure how well a profile estimates a study's time: `python -m benchmarks.plan_accuracy`.

The quickstart is profiled on a few seeds, planned from the profile, and run `--runs` times, each time in a new store.
Planned and actual time are compared, for each kind of step and in total. The figure is that of the median run.
`--study` selects another study.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.support.lab import figure
from cluster.resources.inventory import machine
from pipelines.execution.profiling import measure_profile
from pipelines.execution.runner import run
from pipelines.planning.cost import durations, makespan_of
from pipelines.planning.plan import Plan, make_plan
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy, load

QUICKSTART = Path("studies/quickstart.yaml")


def by_kind(plan: Plan, store: Store) -> dict[str, tuple[float, float]]:
    """Return planned and actual seconds, summed over the steps of each kind."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for step in plan.pending:
        sums[step.kind][0] += plan.seconds[step.key]
        sums[step.kind][1] += store.manifest(step.kind, step.key).seconds
    return {kind: (planned, actual) for kind, (planned, actual) in sums.items()}


def actual(loaded: LoadedStudy, plan: Plan, planned: float) -> float:
    """Run the study in an empty store, print its times beside the planned ones, and return its wall time in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        took = run(loaded, store, None, Console()).seconds
        print(f"{'kind':>12}{'planned s':>12}{'actual s':>12}")
        for kind, (expected, spent) in by_kind(plan, store).items():
            print(f"{kind:>12}{expected:>12.1f}{spent:>12.1f}")
        print(f"{'wall':>12}{planned:>12.1f}{took:>12.1f}   (overhead {plan.overhead:.1f} s)", flush=True)
    return took


def main() -> None:
    """Print a table for each run, and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=QUICKSTART)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    loaded = load(options.study)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        measure_profile(loaded, store, None, Console())
        plan = make_plan(loaded.study, loaded.folder, store)
    planned = makespan_of(durations(plan), loaded.study, machine()) + plan.overhead
    took = median(actual(loaded, plan, planned) for _ in range(options.runs))
    figure("plan_accuracy.error_fraction", abs(planned / took - 1), "<=0.15")


if __name__ == "__main__":
    main()
