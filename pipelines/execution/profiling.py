"""Measures a profile: a study's own steps on a few seeds, twice."""

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
from cluster.resources.inventory import Inventory, machine, possible
from pipelines.planning.machine_types import Kinds
from pipelines.planning.profile import Profile, profile_path, setting_of
from pipelines.planning.workload import Line, role
from pipelines.store.store import Store
from pipelines.study.file.load import Loaded
from pipelines.study.graph.params import TrainJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.planning.plan import Plan

SIZES = (8, 96)  # seeds
TRAININGS = 4  # of each student and recipe, and as many evaluations
SHARING = 16  # of those that share processes: how many do decides how long each takes
READ = ("tokens_in", "tokens_instruction", "tokens_answer", "tokens")
WRITTEN = ("tokens_out",)


class Measured(NamedTuple):
    """One step, or the mean of some: rows, seconds, tokens, bytes."""

    rows_in: float
    seconds: float
    rows_out: float
    tokens_in: float
    tokens_out: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A run on a few seeds: its finished steps with what was measured of each, and its wall time in seconds."""

    steps: tuple[tuple[Step, Measured], ...]
    seconds: float


def measure(loaded: Loaded, store: Store, address: str | None, console: Console) -> Profile:
    """Run a part of a study on a few seeds in a store of its own, and keep what was measured beside the report."""
    from pipelines.planning.cost import together

    here = _cluster(address)
    samples: list[Sample] = []
    for size in SIZES:
        console.print(f"Profile: the study's own steps on {size} seeds ...", highlight=False)
        with _place(store, address) as place:
            samples.append(_sample(loaded, size, place, address))
    kinds = Kinds(loaded.study, loaded.folder, here)
    settings = {role(step): setting_of(step, kinds) for sample in samples for step, _ in sample.steps}
    lines = {name: line.model_copy(update={"setting": settings[name]}) for name, line in fit(samples).items()}
    overheads = [
        sample.seconds - together([(step, each.seconds) for step, each in sample.steps], loaded.study, here)
        for sample in samples
    ]
    profile = Profile(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        cpus=here.cpus,
        gpus=here.gpus,
        accelerators=sorted({node.accelerator for node in here.nodes if node.accelerator}),
        overhead=max(0.0, min(overheads)),
        lines=lines,
    )
    store.write_bytes(profile_path(store, loaded.study.study), profile.model_dump_json(indent=1).encode())
    return profile


def _cluster(address: str | None) -> Inventory:
    """The machines to measure on; Ray alone tells the kinds of GPUs."""
    if address is None and not machine().gpus:
        return machine()
    with connect(address):
        return possible()


@contextmanager
def _place(store: Store, address: str | None) -> Generator[Store]:
    """A store for a sample alone: a temporary folder, or a part of the study's store, which a cluster's nodes reach."""
    if address is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Store(folder)
        return
    place = Store(posixpath.join(store.url, f"profile-{uuid.uuid4().hex}"))
    try:
        yield place
    finally:
        if place.fs.exists(place.root):
            place.fs.rm(place.root, recursive=True)


def _sample(loaded: Loaded, size: int, store: Store, address: str | None) -> Sample:
    from pipelines.execution.runner import run

    small = replace(loaded, study=_limited(loaded.study, size))
    summary = run(small, store, address, Console(file=io.StringIO()), only=chosen)
    from pipelines.study.graph.build import build

    grid = build(small.study, small.folder)
    done = store.done()
    return Sample(
        tuple((step, measured(step, store)) for key, step in grid.steps.items() if key in done), summary.seconds
    )


def _limited(study: Study, size: int) -> Study:
    seeds = [
        each.model_copy(update={"world": each.world.model_copy(update={"count": min(size, each.world.count)})})
        if each.world
        else each.model_copy(update={"limit": min(size, each.limit or size)})
        for each in study.seeds
    ]
    return study.model_copy(update={"seeds": seeds})


def chosen(plan: Plan) -> Plan:
    """The plan with a few trainings and evaluations of each role, among them those of the bases, and what is built on
    these alone."""
    alike: dict[str, list[Step]] = defaultdict(list)
    for step in plan.pending_of("train"):
        alike[role(step)].append(step)
    trained = {step.key for steps in alike.values() for step in steps[-_most(steps[0]) :]}
    bare = {step.key for steps in alike.values() for step in steps[:-TRAININGS]}  # without an evaluation
    pending: list[Step] = []
    for step in plan.pending:
        if step.key in trained or not (step.kind == "train" or any(needed.key in bare for needed in step.inputs)):
            pending.append(step)
        else:
            bare.add(step.key)
    return replace(plan, pending=tuple(pending))


def _most(step: Step) -> int:
    """How many trainings like this one are enough."""
    assert isinstance(step.job, TrainJob)
    return SHARING if step.job.recipe.tuning == "lora" and step.job.place.together > 1 else TRAININGS


def measured(step: Step, store: Store) -> Measured:
    """What a finished step took and gave."""
    manifest = store.manifest(step.kind, step.key)
    account, size = manifest.account, sum(shard.bytes for shard in manifest.shards)
    seconds = manifest.seconds - manifest.extra.get("start_seconds", 0.0)  # few of a long run's steps start a process
    if step.kind == "train":
        return Measured(account.rows_in, seconds, account.rows_out, manifest.extra["tokens"], 0, size)
    rows = store.rows(step.kind, step.key)
    read, written = (sum(_total(rows, name) for name in names) for names in (READ, WRITTEN))
    return Measured(account.rows_in, seconds, account.rows_out, read, written, size)


def _total(rows: pa.Table, column: str) -> float:
    """The sum of a column of numbers or of lists of numbers; 0 if there is none."""
    if column not in rows.column_names:
        return 0.0
    return float(np.sum([np.sum(value) for value in rows[column].to_pylist() if value is not None]))


def fit(samples: Sequence[Sample]) -> dict[str, Line]:
    """A line for each role through the mean step of every sample."""
    means: dict[str, list[Measured]] = defaultdict(list)
    for sample in samples:
        by_role: dict[str, list[Measured]] = defaultdict(list)
        for step, each in sample.steps:
            by_role[role(step)].append(each)
        for name, values in by_role.items():
            means[name].append(Measured(*(sum(column) / len(values) for column in zip(*values, strict=True))))
    return {name: _line(points[0], points[-1]) for name, points in means.items()}


def _line(few: Measured, many: Measured) -> Line:
    """Through two points; a step whose time does not grow with its rows (or only noise does) has its mean time."""
    more = many.rows_in - few.rows_in
    per_row = max(0.0, (many.seconds - few.seconds) / more) if more > 0 else 0.0
    fixed = max(0.0, many.seconds - per_row * many.rows_in) if per_row else (few.seconds + many.seconds) / 2
    rows = max(many.rows_in, 1.0)
    return Line(
        fixed=fixed,
        per_row=(many.seconds - fixed) / rows if per_row else 0.0,
        rows_out=many.rows_out / rows,
        tokens_in=many.tokens_in / rows,
        tokens_out=many.tokens_out / rows,
        bytes_out=many.bytes_out / rows,
    )
