"""Which students share a process, and what becomes of those that fail together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.training.spec import Speed, TrainError, TrainingStopped, TrainOutcome, TrainRow
from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ClusterCapacity
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.retry import RetryBudget
from pipelines.execution.training import trainer as trainings
from pipelines.execution.training.gang_scheduler import Gang, schedule_gangs
from pipelines.execution.training.trainer import PlannedTraining, Trainer, plan_trainings, train_row
from pipelines.planning.requests import FreeCapacity
from pipelines.rows.types import PairRow
from pipelines.store.errors import LeaseLost
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.training.recipes import Recipe
from tests.support.studies import STUDENTS, scripted_study

LORA = {"tuning": "lora", "max_length": 64}


def context(place: dict[str, Any] | None = None, **recipe: Any) -> Any:
    """What trainings need of a context: two students on ten data sets, each set larger than the one before."""
    study = scripted_study(**STUDENTS)
    recipes = {name: Recipe.model_validate(recipe) for name in study.recipes}
    students = [student.model_copy(update=place or {}) for student in study.students]
    study = study.model_copy(update={"recipes": recipes, "students": students})
    steps = build(study, Path()).steps
    rows = {key: number for number, key in enumerate(steps)}
    counts = SimpleNamespace(of=lambda step: rows[step.key])
    return SimpleNamespace(study=study, folder=Path(), steps=steps, retries=RetryBudget(), row_counts=counts)


def trains(given: Any) -> list[Step]:
    return [step for step in given.steps.values() if step.kind == "train"]


def seconds_of(given: Any) -> dict[str, float]:
    return dict.fromkeys(given.steps, 1.0)


def room(cpus: float) -> FreeCapacity:
    return FreeCapacity(ClusterCapacity(Inventory((Node("one", cpus, 0, 0),))))


def sizes(given: Any, cpus: float) -> list[int]:
    found = list(plan_trainings(given, trains(given), room(cpus)))
    assert sorted(step.key for one in found for step in one.steps) == sorted(step.key for step in trains(given))
    for one in found:
        rows = [given.row_counts.of(step.inputs[0]) for step in one.steps]
        assert rows == sorted(rows) and len({step.params.model for step in one.steps}) == 1
    return sorted(len(one.steps) for one in found)


def test_lora_students_of_one_base_share_processes_as_far_as_no_place_stays_idle() -> None:
    lora = context({"cpus": 1.0}, **LORA)
    assert len(trains(lora)) == 20
    assert sizes(lora, cpus=1) == [2, 2, 8, 8]
    assert sizes(lora, cpus=2) == [5, 5, 5, 5]
    assert sizes(lora, cpus=16) == [1] * 20
    assert sizes(context({"cpus": 1.0, "together": 3}, **LORA), cpus=1) == [1, 1, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(("rows", "most"), [(1, 8), (4, 4), (16, 1), (64, 1)])
def test_on_cpus_students_share_a_process_only_if_their_passes_are_small(rows: int, most: int) -> None:
    given = context({"cpus": 1.0}, **LORA, batch_size=64, micro_batch_size=rows)
    assert max(sizes(given, cpus=1)) == most


def test_on_gpus_students_share_a_process_with_large_passes_too() -> None:
    given = context({"cpus": 1.0, "gpus": 1.0}, **LORA, batch_size=64, micro_batch_size=64)
    one = FreeCapacity(ClusterCapacity(Inventory((Node("one", 8, 1, 0),))))
    assert max(len(found.steps) for found in plan_trainings(given, trains(given), one)) == 8


@pytest.mark.parametrize(
    ("place", "recipe"),
    [
        ({}, {"tuning": "full"}),
        ({}, LORA | {"lora_dropout": 0.1}),
        ({"workers": 2}, LORA),
        ({"sharding": "fsdp"}, LORA),
    ],
)
def test_others_are_trained_alone(place: dict[str, Any], recipe: dict[str, Any]) -> None:
    assert sizes(context({"cpus": 1.0, **place}, **recipe), cpus=1) == [1] * 20


def test_students_that_fail_together_are_tried_one_by_one() -> None:
    given = context({"cpus": 1.0}, **LORA)
    steps = trains(given)
    bad, attempts, failed, trained = steps[3], list[int](), list[Step](), list[Step]()

    class Trying(Trainer):
        def train(self, training: PlannedTraining) -> list[Gang]:
            attempts.append(len(training.steps))
            if bad in training.steps:
                raise TrainError("no row has a response")
            trained.extend(training.steps)
            return []

    trainer = Trying(given, seconds_of(given), lambda step: [], lambda step, why: failed.append(step))
    schedule_gangs(trainer.plan_gangs(steps, room(1)), room(1))
    assert failed == [bad]
    assert {step.key for step in trained} == {step.key for step in steps} - {bad.key}
    assert sorted(attempts)[-2:] == [8, 8] and attempts.count(1) in (2, 8)


def test_a_training_that_is_stopped_with_the_run_has_not_failed() -> None:
    class Stopped(Trainer):
        def train(self, training: PlannedTraining) -> list[Gang]:
            raise TrainingStopped

    given, failed = context({"cpus": 1.0}, **LORA), list[Step]()
    trainer = Stopped(given, seconds_of(given), lambda step: [], lambda step, why: failed.append(step))
    schedule_gangs(trainer.plan_gangs(trains(given), room(2)), room(2))
    assert failed == []


@pytest.fixture
def lone(tmp_path: Path) -> tuple[Any, PlannedTraining]:
    """A context with a store whose data sets have a row each, and a training of two students."""
    given = context({"cpus": 1.0}, **LORA)
    steps = [step for step in trains(given) if step.params.model == trains(given)[0].params.model][:2]
    given.store = Store(str(tmp_path))
    given.progress = SimpleNamespace(finish_step=lambda manifest: None)
    for step in steps:
        pair = PairRow("a", "p", "s", 0, "Ask.", "", "Answer.", 1.0)
        commit_rows(given.store, step.inputs[0], [pair], [], 1, 0.0)
    return given, next(plan_trainings(given, steps, room(1)))


def scripted(monkeypatch: pytest.MonkeyPatch, after: Callable[[], None], shortened: int = 0) -> None:
    """Trainings leave a checkpoint and students; then something happens."""

    def train(spec: Any, sets: Any, aside: str, *_: Any) -> list[TrainOutcome]:
        Path(aside, "checkpoints").mkdir(parents=True, exist_ok=True)
        for number in range(len(sets)):
            Path(aside, f"student-{number}").mkdir()
            Path(aside, f"student-{number}", "weights").write_text(str(number))
        after()
        return [TrainOutcome(1, 0, 1, 1, 1.0, (), Speed(0.0, 0.0, 0, 0.0, ""), shortened)] * len(sets)

    monkeypatch.setattr(trainings, "train_to_staging", train)


def test_a_driver_that_was_taken_over_during_a_training_moves_and_commits_nothing(
    lone: tuple[Any, PlannedTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, training = lone

    def taken_over() -> None:
        raise LeaseLost("taken over")

    scripted(monkeypatch, lambda: setattr(given.store, "fence", taken_over))
    with pytest.raises(LeaseLost):
        Trainer(given, seconds_of(given), lambda step: [], lambda step, why: None).run(training)
    assert not [*Path(given.store.root).glob("steps/train/*/model")]


def test_checkpoints_go_with_the_commit_of_the_students(
    lone: tuple[Any, PlannedTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, training = lone
    scripted(monkeypatch, lambda: None)
    there: list[bool] = []
    committed = given.store.commit
    given.store.commit = lambda manifest: (there.append(bool(given.store.stale_files())), committed(manifest))
    Trainer(given, seconds_of(given), lambda step: [], lambda step, why: None).run(training)
    assert there == [True, False] and given.store.stale_files() == []
    for number, step in enumerate(training.steps):
        assert Path(given.store.folder("train", step.key), "model", "weights").read_text() == str(number)


def test_rows_that_were_cut_are_counted_and_reported(
    lone: tuple[Any, PlannedTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, training = lone
    scripted(monkeypatch, lambda: None, shortened=1)
    lines: list[str] = []
    given.progress.print = lines.append
    Trainer(given, seconds_of(given), lambda step: [], lambda step, why: None).run(training)
    assert len(lines) == len(training.steps)
    assert all(
        "1 of 1 rows are longer than max_length (64 tokens) or the model's positions and were cut" in line
        for line in lines
    )
    assert {given.store.manifest("train", step.key).extra["shortened"] for step in training.steps} == {1}


def test_the_restarts_of_a_training_that_is_given_up_are_counted(
    lone: tuple[Any, PlannedTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, training = lone

    def lost(*_: Any) -> None:
        raise TrainError("lost", 3)

    monkeypatch.setattr(trainings, "train_to_staging", lost)
    failed: list[Step] = []
    Trainer(given, seconds_of(given), lambda step: [], lambda step, why: failed.append(step)).run(training.split()[0])
    assert failed == [training.steps[0]]
    assert [(retry.level, retry.spent) for retry in given.retries.all()] == [("training", 3)]


def test_a_student_learns_thoughts_only_if_the_study_says_so() -> None:
    pair = PairRow("i", "p", "s", 0, "Ask.", "", "42", 0.0, thoughts="One more than 41.")
    assert train_row(pair, with_thoughts=False) == TrainRow("Ask.", "42")
    assert train_row(pair, with_thoughts=True) == TrainRow("Ask.", "42", (), "One more than 41.")
    assert train_row(replace(pair, thoughts=""), with_thoughts=True) == TrainRow("Ask.", "42")
    students = STUDENTS | {"responses": {"teachers": ["small"], "thinking": "train"}}
    steps = build(scripted_study(**students), Path()).steps.values()
    assert {step.params.thoughts for step in steps if isinstance(step.params, TrainParams)} == {True}
