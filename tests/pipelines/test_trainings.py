"""Which students share a process, and what becomes of those that fail together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.train_spec import TrainError
from cluster.inventory import Inventory, Node
from cluster.placement import Ground
from pipelines.gangs import Gang, Room, run_gangs
from pipelines.study.grid import build
from pipelines.study.recipes import Recipe
from pipelines.study.steps import Step
from pipelines.trainings import Trainer, Training, shared
from tests.pipelines.studies import STUDENTS, scripted_study

LORA = {"tuning": "lora", "max_length": 64}


def context(place: dict[str, Any] | None = None, **recipe: Any) -> Any:
    """What trainings need of a context: two students on ten data sets, each set larger than the one before."""
    study = scripted_study(**STUDENTS)
    recipes = {name: Recipe.model_validate(recipe) for name in study.recipes}
    students = [student.model_copy(update=place or {}) for student in study.students]
    study = study.model_copy(update={"recipes": recipes, "students": students})
    steps = build(study, Path()).steps
    rows = {key: number for number, key in enumerate(steps)}
    plan = SimpleNamespace(seconds=dict.fromkeys(steps, 1.0), steps=steps)
    return SimpleNamespace(study=study, folder=Path(), plan=plan, rows_of=lambda step: rows[step.key])


def trains(given: Any) -> list[Step]:
    return [step for step in given.plan.steps.values() if step.kind == "train"]


def room(cpus: float) -> Room:
    return Room(Ground(Inventory((Node("one", cpus, 0, 0),))))


def sizes(given: Any, cpus: float) -> list[int]:
    found = list(shared(given, trains(given), room(cpus)))
    assert sorted(step.key for one in found for step in one.steps) == sorted(step.key for step in trains(given))
    for one in found:
        rows = [given.rows_of(step.inputs[0]) for step in one.steps]
        assert rows == sorted(rows) and len({step.job.model for step in one.steps}) == 1
    return sorted(len(one.steps) for one in found)


def test_lora_students_of_one_base_share_processes_as_far_as_no_place_stays_idle() -> None:
    lora = context({"cpus": 1.0}, **LORA)
    assert len(trains(lora)) == 20
    assert sizes(lora, cpus=1) == [2, 2, 8, 8]
    assert sizes(lora, cpus=2) == [5, 5, 5, 5]
    assert sizes(lora, cpus=16) == [1] * 20
    assert sizes(context({"cpus": 1.0, "together": 3}, **LORA), cpus=1) == [1, 1, 3, 3, 3, 3, 3, 3]


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
        def train(self, training: Training) -> list[Gang]:
            attempts.append(len(training.steps))
            if bad in training.steps:
                raise TrainError("no row has a response")
            trained.extend(training.steps)
            return []

    trainer = Trying(given, lambda step: [], lambda step, why: failed.append(step))
    run_gangs(trainer.gangs(steps, room(1)), room(1))
    assert failed == [bad]
    assert {step.key for step in trained} == {step.key for step in steps} - {bad.key}
    assert sorted(attempts)[-2:] == [8, 8] and attempts.count(1) in (2, 8)
