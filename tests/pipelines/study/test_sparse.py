"""`only` and `except` take parts of a study's grid, at every level where a product is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Cell, Grid, LeftOut
from pipelines.study.sparse.unions import set_places
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()
WriteStudy = Callable[..., Path]
TWO_BENCHMARKS = STUDENTS | {"benchmarks": [{"name": name, "world": {"count": 10}} for name in ("world", "other")]}
RICH: dict[str, Any] = TWO_BENCHMARKS | {
    "seeds": [{"name": "world", "world": {"count": 20}}, {"name": "more", "world": {"count": 9}}],
    "selection": [{"name": "all"}, {"name": "half", "keep": 0.5}],
    "responses": {
        "teachers": ["small", "large"],
        "given": [{"name": "own", "column": "output"}],
        "decodings": [{"name": "greedy"}, {"name": "warm", "temperature": [0.5, 0.9], "seeds": 2}],
    },
}


def grid(**changes: Any) -> Grid:
    return build(scripted_study(**TWO_BENCHMARKS | changes), HERE)


def trained(found: Grid) -> set[tuple[str, int, str, str]]:
    """(evolver, round, teacher, student) of every trained cell."""
    return {(c.pairs.evolver, c.pairs.round, c.pairs.teacher, c.student.model) for c in found.cells if c.pairs}


def evaluated(cell: Cell) -> list[str]:
    return [name for name, _ in cell.evaluations]


def test_later_rounds_of_one_evolver_only() -> None:
    found = grid(only=[{"round": [0, 1]}, {"evolver": "large"}])
    assert {(pairs.evolver, pairs.round) for pairs in found.sets} == {("", 0), ("small", 1), ("large", 1), ("large", 2)}
    assert "evolve world small r2" not in {step.label for step in found.steps.values()}
    assert found.left_out == LeftOut(sets=2, cells=4, evaluations=8)


def test_a_round_that_a_later_one_needs_is_computed_and_neither_answered_nor_learned() -> None:
    found = grid(only=[{"evolver": "small", "round": 2}])
    labels = {step.label for step in found.steps.values()}
    assert {"evolve world small r1", "evolve world small r2"} < labels
    assert not any("small r1 /" in label or "large r" in label for label in labels)
    assert {number for _, number, _, _ in trained(found)} == {2}


def test_a_pattern_with_a_student_takes_away_only_its_trainings() -> None:
    whole, found = grid(), grid(**{"except": [{"student": "large", "teacher": "small"}]})
    assert len(found.sets) == len(whole.sets)
    assert trained(whole) - trained(found) == {cell for cell in trained(whole) if cell[2:] == ("small", "large")}


def test_a_pattern_with_a_benchmark_takes_away_only_its_evaluations() -> None:
    found = grid(**{"except": [{"benchmark": "other", "round": 2}]})
    assert trained(found) == trained(grid())
    for cell in found.cells:
        assert evaluated(cell) == (["world"] if cell.pairs and cell.pairs.round == 2 else ["world", "other"])
    found = grid(only=[{"benchmark": "other", "round": 2}, {"round": 0}])
    assert {(cell.pairs.round, *evaluated(cell)) for cell in found.cells if cell.pairs} == {
        (0, "world", "other"),
        (2, "other"),
    }


def test_a_data_set_on_which_nothing_would_be_trained_is_left_out_by_only() -> None:
    found = grid(only=[{"student": "large", "round": 1}], **{"except": [{"student": "large", "teacher": "small"}]})
    assert {(pairs.round, pairs.teacher) for pairs in found.sets} == {(1, "large")}


def test_untuned_models_are_left_out_by_patterns_of_their_own_coordinates_alone() -> None:
    def bases(**changes: Any) -> dict[str, list[str]]:
        return {cell.student.model: evaluated(cell) for cell in grid(**changes).cells if cell.pairs is None}

    both = ["world", "other"]
    assert bases(only=[{"round": 1}]) == {"small": both, "large": both}
    assert bases(only=[{"round": 1, "student": "large", "benchmark": "other"}]) == {"large": ["other"]}
    assert bases(**{"except": [{"student": "large"}]}) == {"small": both}
    assert bases(**{"except": [{"student": "large", "round": [0, 1, 2]}]}) == {"small": both, "large": both}
    assert bases(**{"except": [{"student": "large", "benchmark": "other"}]}) == {"small": both, "large": ["world"]}


def test_without_students_the_data_sets_themselves_are_taken() -> None:
    found = build(scripted_study(only=[{"teacher": "small", "round": 1}]), HERE)
    assert [(pairs.evolver, pairs.round, pairs.teacher) for pairs in found.sets] == [
        ("small", 1, "small"),
        ("large", 1, "small"),
    ]


def test_a_pattern_that_matches_everything_changes_no_step() -> None:
    assert list(grid(only=[{"seeds": "world"}]).steps) == list(grid().steps)


def test_places_are_those_of_the_grid() -> None:
    study = scripted_study(**RICH)
    found = build(study, HERE).sets
    assert [(p.seeds, p.evolver, p.round, p.teacher, p.decoding) for p in set_places(study)] == [
        (pairs.seeds, pairs.evolver, pairs.round, pairs.teacher, pairs.decoding) for pairs in found
    ]
    seeds = {place.answer_seed for place in set_places(study) if place.decoding == "warm-t0.5"}
    assert seeds == {pairs.answer_seed for pairs in found if pairs.decoding == "warm-t0.5"} == {0, 1}


@pytest.mark.parametrize(
    ("pattern", "sets", "cells"),
    [
        ({"decoding": "warm"}, 2 * 5 * 2 * 2 * 2, 4),
        ({"decoding": "warm-t0.5"}, 2 * 5 * 2 * 2, 4),
        ({"decoding": "given"}, 2, 4),
        ({"teacher": "own", "selection": "half"}, 2, 2),
        ({"answer_seed": 1, "recipe": "lora"}, 2 * 5 * 2 * 2, 2),
        ({"seeds": "more", "method": "evol-instruct", "seed": 0}, 4 * 2 * 5, 4),
    ],
    ids=str,
)
def test_every_coordinate_can_be_named(pattern: dict[str, Any], sets: int, cells: int) -> None:
    found = build(scripted_study(**RICH, only=[pattern]), HERE)
    assert (len(found.sets), len([cell for cell in found.cells if cell.train])) == (sets, sets * cells)


def test_the_second_papers_grid_is_its_trainings_alone() -> None:
    teachers, bases = [f"teacher-{number}" for number in range(20)], [f"base-{number}" for number in range(5)]
    study = scripted_study(
        models={name: {"source": name, "engine": "scripted"} for name in (*teachers, *bases)},
        evolution=[],
        scoring=None,
        responses={"teachers": teachers},
        recipes={"full": {}},
        students=[{"model": name, "recipe": "full"} for name in bases],
    )
    found = build(study, HERE)
    assert len(found.sets) == 20
    assert len([step for step in found.steps.values() if step.kind == "train"]) == 100


def problems(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        check(load(path))
    found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
    return [str(problem).removeprefix(f"{path}:") for problem in found]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "only:\n  - {evolver: tinny}\n",
            "20: only[0].evolver: no evolver of this study is 'tinny'. Did you mean 'tiny'?",
        ),
        (
            "except:\n  - {round: 1}\n  - {round: [2, 7]}\n",
            "21: except[1].round[1]: no round of this study is '7'. Valid names: 0, 1, 2, 3.",
        ),
        (
            "only:\n  - {teacher: tiny}\n  - {round: 0, evolver: tiny}\n",
            "21: only[1]: the pattern {evolver: tiny, round: 0} matches nothing. No part of the grid",
        ),
        ("only:\n  - {benchmark: x}\n", "20: only[0].benchmark: no benchmark of this study is 'x'. "),
        ("only: []\n", "19: only: needs at least 1 entry"),
        ("except: [{}]\n", "19: except[0]: a pattern without a coordinate matches everything"),
    ],
)
def test_mistakes_in_patterns_are_errors(write_study: WriteStudy, lines: str, expected: str) -> None:
    (found,) = problems(write_study(add=lines))
    assert found.startswith(expected)


def test_a_grid_of_which_nothing_is_left_is_an_error(write_study: WriteStudy) -> None:
    (found,) = problems(write_study(add="except: [{teacher: tiny}, {student: tiny}]\n"))
    assert found.startswith("19: except: nothing of the grid is left")
