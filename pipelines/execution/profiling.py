"""Profiles a study by running it on two small samples of its seeds; the full run's costs are extrapolated from them."""

from __future__ import annotations

import io
import posixpath
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from cluster.connection.session import connect
from cluster.resources.inventory import Inventory, machine, max_inventory
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.profile import Profile, profile_path, setting_of
from pipelines.planning.workload import LinearCost, workload_class
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.planning.plan import Plan

SAMPLE_SEED_COUNTS = (8, 96)
TRAININGS_PER_CLASS = 4  # of each student and recipe; the same limit holds for evaluations
SHARED_TRAININGS_PER_CLASS = 16  # of trainings that share processes: the time of each depends on their number
READ_COLUMNS = ("tokens_in", "tokens_with_input", "tokens_answer", "tokens")
WRITTEN_COLUMNS = ("tokens_out",)


class StepMeasurement(NamedTuple):
    """Measurements of one step, or the means of several steps."""

    rows_in: float
    seconds: float
    rows_out: float
    tokens_in: float
    tokens_out: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class ProfileRun:
    """A run on a few seeds: its finished steps with their measurements, and its wall time in seconds."""

    steps: tuple[tuple[Step, StepMeasurement], ...]
    seconds: float


def measure_profile(loaded: LoadedStudy, store: Store, address: str | None, console: Console) -> Profile:
    """Run a part of a study on two samples of its seeds, in temporary stores; save the profile beside the report."""
    from pipelines.planning.cost import makespan_of

    inventory = _inventory(address)
    samples: list[ProfileRun] = []
    for size in SAMPLE_SEED_COUNTS:
        console.print(f"Profile: running the study's steps on {size} seeds ...", highlight=False)
        with _sample_store(store, address) as sample_store:
            samples.append(_run_sample(loaded, size, sample_store, address))
    machine_types = MachineTypes(loaded.study, loaded.folder, inventory)
    settings = {workload_class(step): setting_of(step, machine_types) for sample in samples for step, _ in sample.steps}
    costs = {name: line.model_copy(update={"setting": settings[name]}) for name, line in fit_linear(samples).items()}
    overheads = [
        sample.seconds
        - makespan_of([(step, measurement.seconds) for step, measurement in sample.steps], loaded.study, inventory)
        for sample in samples
    ]
    profile = Profile(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        cpus=inventory.cpus,
        gpus=inventory.gpus,
        accelerators=sorted({node.accelerator for node in inventory.nodes if node.accelerator}),
        overhead=max(0.0, min(overheads)),
        lines=costs,
    )
    store.write_bytes(profile_path(store, loaded.study.study), profile.model_dump_json(indent=1).encode())
    return profile


def _inventory(address: str | None) -> Inventory:
    """Return the inventory to measure on. Local GPUs are read from Ray, because only Ray reports their types."""
    if address is None and not machine().gpus:
        return machine()
    with connect(address):
        return max_inventory()


@contextmanager
def _sample_store(store: Store, address: str | None) -> Generator[Store]:
    """Yield a temporary store for a sample: a local folder, or on a cluster a folder of the study's store."""
    if address is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Store(folder)
        return
    sample_store = Store(posixpath.join(store.url, f"profile-{uuid.uuid4().hex}"))
    try:
        yield sample_store
    finally:
        if sample_store.fs.exists(sample_store.root):
            sample_store.fs.rm(sample_store.root, recursive=True)


def _run_sample(loaded: LoadedStudy, size: int, store: Store, address: str | None) -> ProfileRun:
    from pipelines.execution.runner import run

    small = replace(loaded, study=_with_row_limit(loaded.study, size))
    summary = run(small, store, address, Console(file=io.StringIO()), select_steps=representative_steps)
    from pipelines.study.graph.build import build

    grid = build(small.study, small.folder)
    done = store.finished_keys()
    return ProfileRun(
        tuple((step, measure_step(step, store)) for key, step in grid.steps.items() if key in done), summary.seconds
    )


def _with_row_limit(study: Study, size: int) -> Study:
    seeds = [
        each.model_copy(update={"world": each.world.model_copy(update={"count": min(size, each.world.count)})})
        if each.world
        else each.model_copy(update={"limit": min(size, each.limit or size)})
        for each in study.seeds
    ]
    return study.model_copy(update={"seeds": seeds})


def representative_steps(plan: Plan) -> Plan:
    """Limit a plan to a few trainings and evaluations of each workload class, and to steps that need only these.

    The trainings and evaluations of the base models are among them.
    """
    by_class: dict[str, list[Step]] = defaultdict(list)
    for step in plan.pending_of("train"):
        by_class[workload_class(step)].append(step)
    trained = {step.key for steps in by_class.values() for step in steps[-_max_trainings(steps[0]) :]}
    not_evaluated = {step.key for steps in by_class.values() for step in steps[:-TRAININGS_PER_CLASS]}
    pending: list[Step] = []
    for step in plan.pending:
        if step.key in trained or not (
            step.kind == "train" or any(needed.key in not_evaluated for needed in step.inputs)
        ):
            pending.append(step)
        else:
            not_evaluated.add(step.key)
    return replace(plan, pending=tuple(pending))


def _max_trainings(step: Step) -> int:
    """Return how many trainings of the class of this one to run."""
    assert isinstance(step.params, TrainParams)
    return (
        SHARED_TRAININGS_PER_CLASS
        if step.params.recipe.tuning == "lora" and step.params.resources.together > 1
        else TRAININGS_PER_CLASS
    )


def measure_step(step: Step, store: Store) -> StepMeasurement:
    """Return the measurements of a finished step, without the start of its process."""
    manifest = store.manifest(step.kind, step.key)
    account, size = manifest.account, sum(shard.bytes for shard in manifest.shards)
    seconds = manifest.seconds - manifest.extra.get("start_seconds", 0.0)  # in a long run, few steps start a process
    if step.kind == "train":
        return StepMeasurement(account.rows_in, seconds, account.rows_out, manifest.extra["tokens"], 0, size)
    rows = store.rows(step.kind, step.key)
    read, written = (sum(_total(rows, name) for name in names) for names in (READ_COLUMNS, WRITTEN_COLUMNS))
    return StepMeasurement(account.rows_in, seconds, account.rows_out, read, written, size)


def _total(rows: pa.Table, column: str) -> float:
    """Return the sum of a column of numbers or of lists of numbers; 0 if the column is missing."""
    if column not in rows.column_names:
        return 0.0
    return float(np.sum([np.sum(value) for value in rows[column].to_pylist() if value is not None]))


def fit_linear(samples: Sequence[ProfileRun]) -> dict[str, LinearCost]:
    """Fit a linear cost for each workload class through the mean step of every sample."""
    means: dict[str, list[StepMeasurement]] = defaultdict(list)
    for sample in samples:
        by_class: dict[str, list[StepMeasurement]] = defaultdict(list)
        for step, measurement in sample.steps:
            by_class[workload_class(step)].append(measurement)
        for name, values in by_class.items():
            means[name].append(StepMeasurement(*(sum(column) / len(values) for column in zip(*values, strict=True))))
    return {name: _fit_two_points(points[0], points[-1]) for name, points in means.items()}


def _fit_two_points(small: StepMeasurement, large: StepMeasurement) -> LinearCost:
    """Fit a line through two points. A step whose time does not grow with its rows has its mean time as fixed cost."""
    added_rows = large.rows_in - small.rows_in
    per_row = max(0.0, (large.seconds - small.seconds) / added_rows) if added_rows > 0 else 0.0
    fixed = max(0.0, large.seconds - per_row * large.rows_in) if per_row else (small.seconds + large.seconds) / 2
    rows = max(large.rows_in, 1.0)
    return LinearCost(
        fixed=fixed,
        per_row=(large.seconds - fixed) / rows if per_row else 0.0,
        rows_out=large.rows_out / rows,
        tokens_in=large.tokens_in / rows,
        tokens_out=large.tokens_out / rows,
        bytes_out=large.bytes_out / rows,
    )
