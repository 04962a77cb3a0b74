"""Evaluations run side by side where there is room, load a student once, and never stand in a training's way."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayError
from rich.console import Console

from actors.engine import EngineLost, EngineSpec, LoadError
from cluster.resources.inventory import Inventory, Node
from pipelines.errors import InputError
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.row_counts import RowCounts
from pipelines.execution.training import evaluator as one_examiner
from pipelines.execution.training import evaluators as examiners
from pipelines.execution.training import run as students
from pipelines.execution.training import shared_base
from pipelines.execution.training.gang_scheduler import Gang
from pipelines.execution.training.run import run_training
from pipelines.execution.training.trainer import PlannedTraining, Trainer
from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.requests import EVALUATOR_START_SECONDS
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step
from tests.support.studies import STUDENTS, scripted_study
from tests.support.timing import PATIENCE

BENCHMARKS = [{"name": f"world-{count}", "world": {"count": count}} for count in (3, 4)]
SECONDS = 0.02  # of a training, an evaluation and a load


class Cluster:
    """CPUs that trainings and replicas hold as they would in Ray, and what happened on them."""

    def __init__(self, cpus: float) -> None:
        self.free, self.changed = cpus, threading.Condition()
        self.loads, self.starts, self.examined, self.now, self.most = list[Any](), 0, list[str](), 0, 0
        self.wrong, self.wrong_beside_others = dict[str, Exception](), dict[str, Exception]()
        self.unloadable: Any = None
        self.together, self.seconds = 1, SECONDS  # evaluations that must overlap before any continues; seconds of one

    def take(self, cpus: float) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.free >= cpus - 1e-6, PATIENCE), "it waits for ever"
            self.free -= cpus

    def give(self, cpus: float) -> None:
        with self.changed:
            self.free += cpus
            self.changed.notify_all()

    def pool(self, pool_spec: Any) -> Any:
        def load(spec: Any) -> None:
            made.pool_spec = SimpleNamespace(spec=spec)
            self.loads.append(spec)
            time.sleep(SECONDS)
            if spec == self.unloadable:
                raise LoadError(spec.model, "no adapters here")

        def stats(_: float) -> None:
            raise RayError

        def ready(_: float) -> None:
            self.take(pool_spec.resources.cpus)
            load(pool_spec.spec)

        self.starts += 1
        close = lambda: self.give(pool_spec.resources.cpus)  # noqa: E731
        made = SimpleNamespace(wait_until_ready=ready, swap_model=load, client=lambda: made, stats=stats, close=close)
        return made

    def evaluate(self, context: RunContext, step: Step, client: Any) -> tuple[list[Any], list[Any]]:
        if step.label in self.wrong:
            raise self.wrong[step.label]
        if step.label in self.wrong_beside_others and client.pool_spec.spec == BASE:
            raise self.wrong_beside_others[step.label]
        with self.changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.most >= self.together, PATIENCE), "it is alone"
        time.sleep(self.seconds)
        with self.changed:
            self.now -= 1
            self.examined.append(step.key)
        return [], []

    def train(self, trainer: Trainer, training: PlannedTraining) -> list[Gang]:
        self.take(training.placement.cpus)
        time.sleep(SECONDS)
        self.give(training.placement.cpus)
        return [gang for step in training.steps for gang in trainer.on_trained(step)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(4)
    monkeypatch.setattr(one_examiner, "Pool", cluster.pool)
    monkeypatch.setattr(one_examiner, "evaluate", cluster.evaluate)

    def spec(study: Any, model: str, folder: Path, *trained: str, template: str | None) -> Any:
        return SimpleNamespace(engine="scripted", code=None, of=(model, *trained))

    monkeypatch.setattr(shared_base, "evaluated_spec", spec)
    monkeypatch.setattr(RowCounts, "of", lambda self, step: 1)
    monkeypatch.setattr(Trainer, "train", lambda self, training: cluster.train(self, training))
    return cluster


def start(folder: Path, kinds: Sequence[str], seconds: float, cpus: float = 1) -> tuple[RunContext, Plan]:
    """Plan the steps of `kinds` on four CPUs, `seconds` each. Without trainings, only untuned models are evaluated."""
    models = {name: {"source": name, "engine": "scripted", "cpus": cpus} for name in ("small", "large", "scorer")}
    study = scripted_study(**{**STUDENTS, "models": models, "benchmarks": BENCHMARKS})
    store = Store(str(folder))
    store.address = lambda kind, key, name: key
    plan = make_plan(study, folder, store)
    chosen = [step for step in plan.pending if step.kind in kinds]
    trains = {step.key for step in chosen if step.kind == "train"}
    chosen = [step for step in chosen if step.kind == "train" or all(each.key in trains for each in step.inputs)]
    plan = replace(plan, pending=tuple(chosen), seconds=dict.fromkeys(plan.grid.steps, seconds))
    board, cluster = ProgressDisplay(Console(file=io.StringIO())), Inventory((Node("here", 4, 0, 0),))
    return RunContext(study, folder, store, board, cluster), plan


def test_evaluations_run_side_by_side_where_there_is_room(tmp_path: Path, cluster: Cluster) -> None:
    here, plan = start(tmp_path, ["evaluate"], EVALUATOR_START_SECONDS)
    cluster.together = 2
    assert run_training(here, plan).failures == []
    assert sorted(cluster.examined) == sorted(step.key for step in plan.pending) and len(cluster.examined) == 4
    assert cluster.most >= 2 and cluster.free == 4


def test_short_evaluations_are_left_to_the_warm_examiner_which_loads_each_student_once(
    tmp_path: Path, cluster: Cluster
) -> None:
    assert run_training(*start(tmp_path, ["evaluate"], 0.1)).failures == []
    assert (cluster.starts, len(cluster.loads), cluster.most) == (1, 2, 1)


def test_every_student_is_examined_beside_trainings(tmp_path: Path, cluster: Cluster) -> None:
    here, plan = start(tmp_path, ["train", "evaluate"], EVALUATOR_START_SECONDS)
    cluster.together = 2
    assert run_training(here, plan).failures == []
    assert len(cluster.examined) == 2 * (20 + 2) and cluster.free == 4
    assert cluster.most >= 2


@pytest.mark.parametrize("seconds", [0.1, EVALUATOR_START_SECONDS])
def test_an_examiner_without_room_beside_a_training_comes_and_goes(
    tmp_path: Path, cluster: Cluster, seconds: float
) -> None:
    assert run_training(*start(tmp_path, ["train", "evaluate"], seconds, cpus=3)).failures == []
    assert len(cluster.examined) == 2 * (20 + 2) and cluster.most == 1 and cluster.free == 4


def test_a_student_that_can_not_be_examined_holds_back_no_other(tmp_path: Path, cluster: Cluster) -> None:
    here, plan = start(tmp_path, ["evaluate"], EVALUATOR_START_SECONDS)
    bad = plan.pending[0]
    cluster.wrong[bad.label] = LoadError("small", "no such file")
    (failure,) = run_training(here, plan).failures
    assert failure.startswith(bad.label) and len(cluster.examined) == 3 and cluster.free == 4


def test_what_is_no_students_failure_is_raised_when_the_others_are_done(tmp_path: Path, cluster: Cluster) -> None:
    here, plan = start(tmp_path, ["train", "evaluate"], EVALUATOR_START_SECONDS)
    bad = next(step for step in plan.pending if step.kind == "evaluate")
    cluster.wrong[bad.label] = InputError("holds no items", file="items.jsonl")
    with pytest.raises(InputError, match="holds no items"):
        run_training(here, plan)
    assert len(cluster.examined) == 2 * (20 + 2) - 1 and cluster.free == 4


def test_code_is_run_for_one_benchmark_at_a_time(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examiners, "_runs_code", lambda step: True)
    assert run_training(*start(tmp_path, ["evaluate"], EVALUATOR_START_SECONDS)).failures == []
    assert len(cluster.examined) == 4 and cluster.most == 1


def test_after_an_interrupt_nothing_more_is_examined(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, plan = start(tmp_path, ["evaluate"], 0.1)
    cluster.seconds = 0.5  # in which an interrupt is heard, also where the machine is busy

    def interrupted(*_: Any) -> None:
        while not cluster.examined:
            time.sleep(SECONDS / 4)
        raise KeyboardInterrupt

    monkeypatch.setattr(students, "schedule_gangs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_training(here, plan)
    time.sleep(3 * cluster.seconds)
    assert len(cluster.examined) <= 2 and cluster.starts == 1  # one that was under way may come to its end


BASE = EngineSpec("scripted", "base", options=(("max_loras", 3),))


def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All models of the study are adapters of one base; three of them fit its engine at once."""
    monkeypatch.setattr(shared_base, "shared_base_spec", lambda *given: BASE)
    monkeypatch.setattr(shared_base, "saved_adapter_problem", lambda folder: "")
    monkeypatch.setattr(examiners, "SHARE_AFTER_SECONDS", 0.0)


def test_students_of_one_base_are_examined_beside_each_other_on_its_engine(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing(monkeypatch)
    cluster.together, seconds = 3, list[float]()
    commit = lambda *given: seconds.append(given[5])  # noqa: E731
    monkeypatch.setattr(one_examiner, "commit_rows", commit)
    monkeypatch.setattr(ProgressDisplay, "finish_step", lambda self, manifest: None)
    started = time.monotonic()
    assert run_training(*start(tmp_path, ["evaluate"], 0.1)).failures == []
    assert (cluster.starts, cluster.loads, cluster.most) == (1, [BASE], 3)
    assert len(cluster.examined) == len(seconds) == 4
    assert 0 < sum(seconds) <= time.monotonic() - started  # the time of the engine is split among them


@pytest.mark.parametrize("error", [LoadError("student", "bad adapter"), EngineLost("base", "crashed")])
def test_a_student_that_fails_beside_others_is_examined_alone(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sharing(monkeypatch)
    here, plan = start(tmp_path, ["evaluate"], 0.1)
    bad = plan.pending[0]
    cluster.wrong_beside_others[bad.label] = error
    assert run_training(here, plan).failures == []
    assert len(cluster.examined) == 4 and bad.label in [retry.of for retry in here.retries.all()]
    if isinstance(error, LoadError):  # the engine keeps running with the others
        assert len({*map(str, cluster.loads)}) == 2 and len(here.retries.all()) == 1


def test_a_base_that_takes_no_adapters_is_tried_once(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing(monkeypatch)
    cluster.unloadable = BASE
    here, plan = start(tmp_path, ["evaluate"], 0.1)
    assert run_training(here, plan).failures == []
    assert len(cluster.examined) == 4 and cluster.loads.count(BASE) == 1
