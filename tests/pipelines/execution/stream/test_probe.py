"""Steps that were probed: asked for their first seeds only, and finished by a later run, which asks for the rest."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.engine import EngineSpec, GenerateRequest, Generation, LogprobRequest, RequestError, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from cluster.resources.inventory import machine
from pipelines.cli.views.status import show_status
from pipelines.errors import StepFailed
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.stream import partition_state
from pipelines.execution.stream.commits.commit import finish_steps
from pipelines.execution.stream.operators import build_trees
from pipelines.execution.stream.totals import PartitionProgress
from pipelines.execution.stream.worker import StreamWorker
from pipelines.planning.plan import make_plan
from pipelines.store.epochs import next_epoch
from pipelines.store.maintenance.garbage import find_garbage
from pipelines.store.probes import first_rows, load_probe
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.graph.steps.step import Step
from tests.support.studies import STUDENTS, scripted_study

SEEDS, PROBED = 600, 300  # the first partition as a whole, and a part of the second
STUDY = scripted_study(
    seeds=[{"name": "world", "world": {"count": SEEDS}}],
    evolution={"evolvers": ["small"], "rounds": 1},
    responses={"teachers": ["large"]},
    diversity={"encoder": "encoder"},
    **STUDENTS,
)


@dataclass
class Asked:
    """The pools of all models, with one engine, and the requests that they were sent."""

    requests: list[str] = field(default_factory=list)
    refuses: str = ""
    window: int = 64

    def __post_init__(self) -> None:
        self.engine = ScriptedEngine(EngineSpec("scripted", "small"))

    def client(self) -> Asked:
        return self

    def queue(self, name: str) -> Asked:
        return self

    async def generate(self, request: GenerateRequest) -> Generation:
        self.requests.append(request.digest())
        if self.refuses:
            raise RequestError(self.refuses, "no such model")
        return await self.engine.generate(request)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        self.requests.append(request.digest())
        return await self.engine.logprobs(request)


class Nobody:
    def add(self, report: PartitionProgress) -> None:
        """Ignore progress."""


def run(folder: Path, engine: Asked, seeds: int | None = None) -> None:
    """Run the row-wise steps of the study as a run does, without Ray."""
    store = Store(str(folder))
    store.epoch = next_epoch(store)
    display = ProgressDisplay(Console(file=io.StringIO()))
    context = RunContext(STUDY, folder, store, display, machine(), probed_seeds=seeds)
    plan = make_plan(STUDY, folder, store)
    for step in plan.pending_of("seeds"):
        run_seeds(STUDY, folder, store, step)
    steps = tuple(step for step in plan.pending_row_wise if step.kind != "verdict")
    pools: Any = dict.fromkeys(STUDY.models, engine)
    trees = build_trees(context, steps, pools, {})
    asyncio.run(StreamWorker(store, trees, Nobody()).process_all())
    finish_steps(context, steps, defaultdict(float))


def row_wise(store: Store) -> list[Step]:
    steps = make_plan(STUDY, Path(), store).grid.steps.values()
    return [step for step in steps if step.params.row_wise and step.kind != "verdict"]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("steps/*/*/*.parquet"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_step_that_was_probed_asks_nothing_twice_and_ends_as_one_that_never_was(tmp_path: Path) -> None:
    probed, never, probe, rest, whole = tmp_path / "probed", tmp_path / "never", Asked(), Asked(), Asked()
    run(probed, probe, PROBED)
    run(probed, rest)
    run(never, whole)
    assert 0 < len(probe.requests) < len(rest.requests) + len(probe.requests) == len(whole.requests)
    assert sorted(probe.requests + rest.requests) == sorted(whole.requests)
    assert digests(probed) == digests(never)
    assert not [*probed.glob("steps/*/*/parts/*")], "nothing of the probe is left"


def test_a_larger_probe_extends_a_smaller_one(tmp_path: Path) -> None:
    first, second, third = Asked(), Asked(), Asked()
    run(tmp_path, first, 40)
    run(tmp_path, second, PROBED)
    run(tmp_path, third, PROBED)
    assert first.requests and second.requests and third.requests == []
    assert len(set(first.requests + second.requests)) == len(first.requests + second.requests)
    store = Store(str(tmp_path))
    found = [load_probe(store, step.kind, step.key) for step in row_wise(store)]
    assert [probe.seeds for probe in found if probe] == [PROBED] * len(found)


def test_a_run_killed_between_the_rows_of_a_step_and_those_made_from_them_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, killed, rest, whole = Asked(), Asked(), Asked(), Asked()
    run(tmp_path / "probed", probe, PROBED)

    def dies(point: str, detail: object = None) -> None:
        if point == "unit.part":
            raise OSError("the disk is gone")

    with monkeypatch.context() as patch, pytest.raises(ExceptionGroup):
        patch.setattr(partition_state, "hit", dies)
        run(tmp_path / "probed", killed)
    run(tmp_path / "probed", rest)
    run(tmp_path / "never", whole)
    assert sorted(probe.requests + killed.requests + rest.requests) == sorted(whole.requests)
    assert digests(tmp_path / "probed") == digests(tmp_path / "never")


def test_the_rows_of_a_probe_can_be_read_and_are_those_of_the_finished_step(tmp_path: Path) -> None:
    run(tmp_path, Asked(), PROBED)
    store = Store(str(tmp_path))
    steps = row_wise(store)
    probed = [first_rows(store, step.kind, step.key, PROBED) for step in steps]
    assert all(load_probe(store, step.kind, step.key) for step in steps) and not store.finished_keys() & {
        step.key for step in steps
    }
    run(tmp_path, Asked())
    assert [first_rows(store, step.kind, step.key, PROBED) for step in steps] == probed
    assert {max(table["index"].to_pylist()) for table in probed} == {PROBED - 1}


def test_a_probe_of_all_seeds_finishes_its_steps(tmp_path: Path) -> None:
    run(tmp_path, Asked(), SEEDS)
    store = Store(str(tmp_path))
    assert {step.key for step in row_wise(store)} <= store.finished_keys()


def test_a_probe_that_has_lost_rows_is_none(tmp_path: Path) -> None:
    run(tmp_path, Asked(), PROBED)
    store = Store(str(tmp_path))
    step = row_wise(store)[0]
    (tmp_path / "steps" / step.kind / step.key / "parts" / "00000001-000001.rows.parquet").unlink()
    assert load_probe(store, step.kind, step.key) is None


def test_a_server_that_refuses_all_requests_leaves_no_probe_and_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="http_404: no such model"):
        run(tmp_path, Asked(refuses="http_404"), PROBED)
    store, again = Store(str(tmp_path)), Asked()
    assert not any(load_probe(store, step.kind, step.key) for step in row_wise(store))
    run(tmp_path, again, PROBED)
    assert all(load_probe(store, step.kind, step.key) for step in row_wise(store)) and again.requests


def test_the_status_says_how_far_steps_were_probed_and_gc_keeps_them(tmp_path: Path) -> None:
    run(tmp_path, Asked(), PROBED)
    store, console = Store(str(tmp_path)), Console(record=True, width=160, file=io.StringIO())
    plan = make_plan(STUDY, tmp_path, store)
    save_step_index(store, STUDY.study, plan.grid.steps)
    show_status(console, store, STUDY.study, plan)
    assert (
        f"probed: respond world small r1 / large greedy, {PROBED} of {SEEDS} seeds, {PROBED} rows"
        in console.export_text()
    )
    assert [*find_garbage(store)] == []
    save_step_index(store, STUDY.study, [])
    assert len([*find_garbage(store)]) == len(row_wise(store)) + 1


def test_a_probe_runs_neither_what_needs_all_rows_nor_trainings(tmp_path: Path) -> None:
    plan = make_plan(STUDY, tmp_path, Store(str(tmp_path)))
    assert {step.kind for step in plan.limited_to_probe().pending} == {"seeds", "evolve", "respond", "score"}
