"""Time plans, `status`, the page's first answer and the driver's own work for studies of up to 100,000 steps.

Run it with `python -m benchmarks.many_steps`.

`--plot FILE` draws the curves. Times are seconds of CPU of one process, without the start of Python. The stores are
written to memory (`/dev/shm`) if there is such a folder, because creating 200,000 files takes minutes on some disks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from starlette.datastructures import QueryParams

from benchmarks.support.lab import figure, peak_memory
from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ClusterCapacity
from pipelines.cli.views.status import show_status
from pipelines.execution.training.gang_scheduler import Gang, schedule_gangs
from pipelines.planning.cost import wall_seconds
from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.requests import FreeCapacity, training_request
from pipelines.results.report.graph import save_study_graph
from pipelines.store.lease import acquire
from pipelines.store.manifest import Account, Manifest
from pipelines.store.store import MANIFEST, Store
from pipelines.store.studies.finished_log import FinishedLog, finished_while_running
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.common.basics import World
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Responses
from pipelines.study.spec.pairs.scoring import Scoring
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Recipe, Student
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader
from pipelines.ui.resources.overview import list_studies, study_overview

TEACHERS = (1, 10, 100)
GOAL_SECONDS, GOAL_GIB = 5.0, 1.0
MEMORY = Path("/dev/shm")
MACHINE = Inventory((Node("local", 16, 0, 64 * 2**30),))


class Times(NamedTuple):
    """CPU seconds for a study of `steps` steps.

    `plan` is the time of its plan, `status` of one poll, `page` of the page's first answer, and `driver` of a run's
    own work for all steps.
    """

    steps: int
    plan: float
    status: float
    page: float
    driver: float

    @property
    def largest(self) -> float:
        """The largest of the times."""
        return max(self[1:])


def study(teachers: int) -> Study:
    """Return a study of 25 evolvers x 3 rounds (and the seeds) x `teachers` teachers x 5 students, with scores."""
    names = [f"model-{number:03d}" for number in range(max(teachers, 25))]
    return Study(
        study="many",
        seeds=[Seeds(name="world", world=World(count=1000))],
        models={name: Model(source=name, engine="scripted") for name in names},
        evolution=[Evolution(evolvers=names[:25], rounds=3)],
        responses=Responses(teachers=names[:teachers]),
        scoring=[Scoring(scorer=names[0])],
        recipes={"full": Recipe()},
        students=[Student(model=name, recipe="full") for name in names[:5]],
        benchmarks=[Benchmark(name="world", world=World(count=200))],
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of this process for `work`."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(teachers: int, folder: Path) -> Times:
    """Measure one size, with a store in `folder`."""
    big, store = study(teachers), Store(str(folder))
    plans: list[Plan] = []

    def plan() -> None:
        plans.append(make_plan(big, folder, store))
        wall_seconds(plans[0], big, MACHINE)

    planned = cpu_seconds(plan)
    driven = cpu_seconds(lambda: drive(store, big, plans[0]))
    finish(store, plans[0])
    planned += cpu_seconds(store.finished_keys)
    with acquire(store, big.study, set(), print):
        status = cpu_seconds(lambda: poll_status(store, big, folder))
        save_study_graph(store, big, folder, plans[0].grid, plans[0].seconds)
        page = cpu_seconds(lambda: open_page(store, big.study))
    return Times(len(plans[0].grid.steps), planned, status, page, driven)


def finish(store: Store, plan: Plan) -> None:
    """Make every step finished: with a manifest for seeds, which plans read, and an empty one for the others."""
    for step in plan.pending:
        folder = Path(store.folder(step.kind, step.key))
        folder.mkdir(parents=True)
        content = manifest_of(step).model_dump_json() if step.kind == "seeds" else ""
        (folder / MANIFEST).write_text(content)


def manifest_of(step: Step) -> Manifest:
    """Return the manifest of a step with one row."""
    return Manifest(
        key=step.key,
        kind=step.kind,
        label=step.label,
        payload={},
        inputs=(),
        account=Account(rows_in=1, rows_out=1),
        shards=(),
        seconds=1.0,
        finished="2026-01-01T00:00:00+00:00",
        versions={},
    )


def poll_status(store: Store, big: Study, folder: Path) -> None:
    """Do what `evolgrid status` does while the study runs."""
    plan = make_plan(big, folder, store, finished=finished_while_running(store, big.study))
    show_status(Console(quiet=True), store, big.study, plan)


def open_page(store: Store, study_name: str) -> str:
    """Return what `evolgrid ui` answers first: the studies of the store, and how far this one is."""
    reader = StoreReader(store)
    overview = study_overview(reader, reader.study(study_name), Parameters(QueryParams("")))
    return json.dumps([list_studies(reader), overview])


def drive(store: Store, big: Study, plan: Plan) -> None:
    """Schedule every training as a gang without work, and log every step as finished."""
    log = FinishedLog(store, big.study, {})

    def note(key: str) -> Sequence[Gang]:
        log.finished(Manifest.model_construct(key=key, account=Account(rows_in=1, rows_out=1), seconds=1.0))
        return ()

    gangs = [
        Gang(training_request(big, step.params), plan.seconds[step.key], lambda key=step.key: note(key))
        for step in plan.pending_of("train")
        if isinstance(step.params, TrainParams)
    ]
    for step in plan.pending:
        if step.kind != "train":
            note(step.key)
    schedule_gangs(gangs, FreeCapacity(ClusterCapacity(MACHINE)))
    left = plan.with_finished(plan.grid.steps)
    assert not left.pending
    log.close()


def draw(found: Sequence[Times], file: Path) -> None:
    """Draw the curves into an image file."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 4), layout="constrained")
    axes = drawing.subplots()
    for name in Times._fields[1:]:
        axes.loglog([one.steps for one in found], [getattr(one, name) for one in found], marker="o", label=name)
    axes.set(xlabel="steps", ylabel="seconds of CPU")
    axes.legend()
    drawing.savefig(file)


def main() -> None:
    """Print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves into this image file")
    file = parser.parse_args().plot
    found: list[Times] = []
    print(f"{'steps':>9} {'plan s':>8} {'status s':>9} {'page s':>8} {'driver s':>9}")
    with peak_memory() as peak:
        for teachers in TEACHERS:
            with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
                found.append(one := measure(teachers, Path(folder)))
            print(
                f"{one.steps:>9,} {one.plan:>8.2f} {one.status:>9.2f} {one.page:>8.2f} {one.driver:>9.2f}", flush=True
            )
    if file:
        draw(found, file)
    figure("many_steps.seconds", found[-1].largest, f"<={GOAL_SECONDS}")
    figure("many_steps.gib", peak[0] / 2**30, f"<={GOAL_GIB}")


if __name__ == "__main__":
    main()
