"""Count how often models are loaded if not all of them fit in memory: `python -m benchmarks.load_order`.

The planned order of steps is compared with a lower bound for any order, and with the naive way: one step after another
in the study's order, evicting the least recently used model.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ResourceRequest
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import min_model_loads, model_loads, order_phases
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.common.basics import World
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Responses
from pipelines.study.spec.pairs.scoring import Scoring
from pipelines.study.spec.study import Study

GOAL = 1.2
ROUNDS = 3


class Case(NamedTuple):
    """A grid on `gpus` GPUs. The first `evolvers` models evolve; `teachers` models from `first_teacher` on answer."""

    name: str
    evolvers: int
    first_teacher: int
    teachers: int
    gpus: int
    sizes: Sequence[int] = (1,)
    scorer: int | None = None


CASES = (
    Case("others teach", 4, 4, 4, 2),
    Case("the evolvers teach", 6, 0, 6, 4),
    Case("the evolvers teach", 20, 0, 20, 1),
    Case("the evolvers teach", 20, 0, 20, 8),
    Case("half of them teach", 20, 10, 20, 8),
    Case("others teach", 20, 20, 20, 8),
    Case("a teacher scores", 20, 0, 20, 4, scorer=3),
    Case("1, 2 and 4 GPUs each", 12, 0, 12, 4, sizes=(1, 2, 4)),
    Case("1, 2 and 4 GPUs each", 20, 10, 20, 8, sizes=(1, 2, 4)),
    Case("1, 2 and 4 GPUs each", 20, 0, 20, 16, sizes=(1, 2, 4)),
)


class Result(NamedTuple):
    """The measurements of a case."""

    models: int
    steps: int
    loads: int
    phases: int
    bound: int
    naive: int
    seconds: float


def study(case: Case) -> Study:
    """Return the case as a study with a scorer. The sizes are assigned to the models in turn."""
    names = [f"model-{number:02d}" for number in range(max(case.evolvers, case.first_teacher + case.teachers))]
    models = {
        name: Model(source=name, engine="scripted", cpus=0, gpus=case.sizes[number % len(case.sizes)])
        for number, name in enumerate([*names, "scorer"])
    }
    return Study(
        study="load_order",
        seeds=[Seeds(name="world", world=World(count=1000))],
        models=models,
        evolution=[Evolution(evolvers=names[: case.evolvers], rounds=ROUNDS)],
        responses=Responses(teachers=names[case.first_teacher : case.first_teacher + case.teachers]),
        scoring=[Scoring(scorer="scorer" if case.scorer is None else names[case.scorer])],
    )


def naive_loads(steps: Sequence[Step], sized: Mapping[str, ResourceRequest], gpus: float) -> int:
    """Return the number of loads if steps run in the study's order and the least recently used model is evicted."""
    resident: list[str] = []
    count = 0
    for model in (step.params.model for step in steps):
        if model in resident:
            resident.remove(model)
        else:
            count += 1
            while resident and sum(sized[name].gpus for name in (*resident, model)) > gpus:
                resident.pop(0)
        resident.append(model)
    return count


def measure_case(case: Case) -> Result:
    """Order the steps of a case. The measured seconds are those of `order_phases` only."""
    made = study(case)
    steps = [step for step in build(made, Path()).steps.values() if step.params.row_wise]
    sized, have = replica_requests(made), Inventory((Node("one", len(made.models), case.gpus, 0),))
    started = time.perf_counter()
    phases = order_phases(steps, sized, have)
    seconds = time.perf_counter() - started
    models, naive = len({step.params.model for step in steps}), naive_loads(steps, sized, case.gpus)
    bound = min_model_loads(steps, sized, have)
    return Result(models, len(steps), model_loads(phases), len(phases), bound, naive, seconds)


def main() -> None:
    """Print a table and the figure."""
    row = "{:<21}{:>7}{:>5}{:>6}{:>6}{:>7}{:>6}{:>6}{:>8}"
    print(row.format("grid", "models", "GPUs", "steps", "loads", "phases", "bound", "naive", "seconds"))
    worst = 1.0
    for case in CASES:
        one = measure_case(case)
        worst = max(worst, one.loads / one.bound)
        counts = (one.models, case.gpus, one.steps, one.loads, one.phases, one.bound, one.naive)
        print(row.format(case.name, *counts, f"{one.seconds:.2f}"))
    print(f"load_order.loads_over_bound value={worst:.2f} goal<={GOAL}")


if __name__ == "__main__":
    main()
