"""Several scorers: a step for each, each student's own base once, and selections that read the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()
THREE = [{"scorer": "scorer"}, {"scorer": "scorer", "name": "again", "form": "chat"}, {"scorer": "self"}]


def study(scoring: Any, **selection: Any) -> Study:
    twins = [*STUDENTS["students"], {"model": "small", "recipe": "lora"}]
    responses = {"teachers": ["small"], "answer_seeds": False}
    evolution = {"evolvers": ["small"], "rounds": 1}
    changes = STUDENTS | {"students": twins, "responses": responses, "evolution": evolution, "scoring": scoring}
    return scripted_study(**changes, selection=[{"name": "best", "keep": 0.5, **selection}])


def steps(grid: Grid, kind: str) -> list[str]:
    return [step.label for step in grid.steps.values() if step.kind == kind]


def scorers_by_student(grid: Grid) -> dict[str, str]:
    """The model whose scores were read to select the pairs of each trained student."""
    return {
        f"{cell.student.model} {cell.student.recipe}": cell.train.inputs[0].inputs[1].params.model
        for cell in grid.cells
        if cell.train
    }


def test_each_scorer_has_a_step_and_each_own_base_one() -> None:
    grid = build(study(THREE), HERE)
    (pairs,) = grid.sets
    assert [(each.scorer, each.model) for each in pairs.score_steps] == [
        ("scorer", "scorer"), ("again", "scorer"), ("self", "small"), ("self", "large"),
    ]  # fmt: skip
    assert len({each.step.key for each in pairs.score_steps}) == len(steps(grid, "score")) == 4
    assert len({*steps(grid, "score")}) == 4, "their labels differ"
    assert pairs.scores is pairs.score_steps[0].step
    assert pairs.scored_by("self", "large") is pairs.score_steps[3].step
    assert pairs.scored_by("nobody") is None


def test_own_scores_select_for_each_base_once() -> None:
    grid = build(study(THREE, by="ifd", scorer="self"), HERE)
    assert scorers_by_student(grid) == {"small full": "small", "large lora": "large", "small lora": "small"}
    assert len({*steps(grid, "select")}) == len(steps(grid, "select")) == 2


def test_other_selections_are_shared_by_all_students() -> None:
    grid = build(study(THREE, by="ifd", scorer="again"), HERE)
    (pairs,) = grid.sets
    assert {cell.train.inputs[0].inputs[1] for cell in grid.cells if cell.train} == {pairs.score_steps[1].step}
    assert len(steps(grid, "select")) == 1
    assert len(steps(build(study(THREE, by="words"), HERE), "select")) == 1
    assert set(scorers_by_student(build(study(THREE, by="ifd"), HERE)).values()) == {"scorer"}, "the first one"


def test_one_scorer_is_the_same_in_a_list_and_under_a_name() -> None:
    alone = build(study({"scorer": "scorer"}, by="ifd"), HERE)
    listed = build(study([{"scorer": "scorer", "name": "base"}], by="ifd", scorer="base"), HERE)
    more = build(study([{"scorer": "scorer"}, {"scorer": "self"}], by="ifd"), HERE)
    assert alone.steps.keys() == listed.steps.keys()
    assert alone.steps.keys() < more.steps.keys()
    assert not build(study(None), HERE).sets[0].score_steps
