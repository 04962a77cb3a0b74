"""Measure how well a grid uses a large cluster: `python -m benchmarks.grid_makespan`.

The simulated cluster has 64 GPUs on 4 nodes (separate raylets on this machine). The grid has one evolver with three
rounds, 20 teachers, and 100 trainings: five students on each teacher's answers to the last round. Engines and trainings
are scripted: they reserve fake GPUs and wait. The real runner runs the grid. The time from its first request to the end
of the last training is compared with the plan's lower bound for these durations.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from actors.training.spec import STUDENT_PREFIX, Speed, TrainOutcome, TrainPlacement, TrainSpec
from benchmarks.simulated_scale import engine
from benchmarks.support.lab import Lab, figure, lab, study
from cluster.connection.session import connect
from pipelines.execution.steps.selection import run_selections
from pipelines.execution.training import trainer as trainings
from pipelines.execution.training.run import run_training
from pipelines.planning.cost import min_wall_seconds
from pipelines.planning.plan import Plan
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

NODES, GPUS = 4, 16
TEACHERS, ROUNDS, ROWS = 20, 3, 96
SLOTS, LATENCY = 8, 1.0
EVOLVER_LATENCY = 0.3
STUDENTS = {"xs": (1, 60.0), "s": (1, 45.0), "m": (2, 40.0), "l": (4, 30.0), "xl": (8, 25.0)}  # GPUs, seconds


@dataclass
class GpuMeter:
    """The number of GPUs on which trainings run now, and the number of trainings that have started."""

    training: int = 0
    started: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self, gpus: int) -> None:
        """Add `gpus` to the number of GPUs in use. It is negative when a training finishes."""
        with self.lock:
            self.training += gpus
            self.started += gpus > 0


@contextmanager
def simulated_cluster() -> Generator[None]:
    """Start the simulated cluster and connect to it."""
    from ray.cluster_utils import Cluster

    from cluster.connection.auth import ensure_token, use_token

    ensure_token()
    use_token(required=True)
    simulated: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    try:
        for _ in range(NODES):
            simulated.add_node(num_cpus=GPUS, num_gpus=GPUS)
        with connect(simulated.address):
            yield
    finally:
        simulated.shutdown()


def grid() -> Study:
    """Return the study: an evolver with one GPU, and 20 teachers with three GPUs each, five of which fit on a node."""
    teachers = [f"teacher-{number:02}" for number in range(TEACHERS)]
    models = {"evolver": engine(1, latency=EVOLVER_LATENCY, slots=SLOTS) | {"in_flight": 2 * SLOTS}}
    models |= {name: engine(3, latency=LATENCY, slots=SLOTS) | {"in_flight": 2 * SLOTS} for name in teachers}
    models |= {name: engine(1) for name in STUDENTS}
    return study(
        models,
        ROWS,
        evolution={"evolvers": ["evolver"], "rounds": ROUNDS},
        responses={"teachers": teachers, "answer_seeds": False},
        recipes={"full": {}},
        students=[{"model": name, "recipe": "full", "workers": gpus} for name, (gpus, _) in STUDENTS.items()],
    )


def scripted_seconds(step: Step) -> float:
    """Return the seconds that a scripted step takes if nothing delays it."""
    if step.kind == "train":
        return STUDENTS[step.params.model][1]  # pyright: ignore[reportAttributeAccessIssue]
    return {"evolve": EVOLVER_LATENCY, "respond": LATENCY}.get(step.kind, 0.0) * ROWS / SLOTS


def with_scripted_durations(plan: Plan) -> Plan:
    """Return the plan with the scripted durations, and with trainings on the last round only."""
    kept = [step for step in plan.pending if step.kind != "train" or f" r{ROUNDS} " in step.label]
    return replace(
        plan, pending=tuple(kept), seconds={key: scripted_seconds(each) for key, each in plan.grid.steps.items()}
    )


@contextmanager
def scripted_trainer(meter: GpuMeter) -> Generator[None]:
    """Script the trainings within the block: they reserve their GPUs, wait for their duration, and write a file."""
    lengths = {name: length for name, (_, length) in STUDENTS.items()}

    def train(
        spec: TrainSpec, sets: Sequence[Any], aside: str, placement: TrainPlacement, told: Any
    ) -> list[TrainOutcome]:
        group = placement_group([{"GPU": placement.gpus}] * placement.workers, strategy="PACK")
        ray.get(group.ready())
        meter.change(placement.workers)
        time.sleep(lengths[spec.base])
        meter.change(-placement.workers)
        remove_placement_group(group)
        for number in range(len(sets)):
            folder = Path(aside, f"{STUDENT_PREFIX}{number}")
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
        speed = Speed(0.0, 0.0, 0, 0.0, "scripted")
        return [TrainOutcome(len(pairs), 0, 1, 0, lengths[spec.base], (), speed) for pairs in sets]

    before = trainings.train_to_staging
    trainings.train_to_staging = train  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        trainings.train_to_staging = before


class IdleSampler:
    """Samples the share of idle GPUs until the last training has started."""

    def __init__(self, here: Lab, meter: GpuMeter, trains: int) -> None:
        self.shares: list[float] = []
        self.streaming, self.ended = True, threading.Event()
        self._here, self._meter, self._trains = here, meter, trains
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        models = self._here.context.study.models
        while not self.ended.wait(0.5) and self._meter.started < self._trains:
            busy = self._meter.training
            if self.streaming:
                stats = {name: pool.stats() for name, pool in self._here.pools.items()}
                busy += sum(int(models[name].gpus) for name, each in stats.items() if each.in_flight)
            self.shares.append(1 - busy / (NODES * GPUS))


def main() -> None:
    """Print the timeline and the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    meter = GpuMeter()
    with simulated_cluster(), scripted_trainer(meter), lab(grid()) as here:
        context, plan = here.context, with_scripted_durations(here.plan)
        trains = len(plan.pending_of("train"))
        bound = min_wall_seconds(plan, context.study, context.cluster)
        first = here.first_request()
        idle = IdleSampler(here, meter, trains)
        streamed = here.stream()
        idle.streaming = False
        here.residency.close()
        failures = run_training(context, run_selections(context, plan)).failures
        ended = time.monotonic()
        idle.ended.set()
    assert not failures, failures
    makespan = ended - first[0]
    print(f"{trains} trainings; stream {streamed:.0f} s, total {makespan:.0f} s, lower bound {bound:.0f} s")
    figure("grid_makespan.makespan_ratio", makespan / bound, "<=1.2")
    figure("grid_makespan.idle_share", sum(idle.shares) / len(idle.shares), "<0.10")


if __name__ == "__main__":
    main()
