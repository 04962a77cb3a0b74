"""The search of a study: mistakes are reported with their place, it is in no key, and its cells have all trainings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.search.space import Cell
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.search_grid import SearchGrid, search_grid
from pipelines.study.spec.study import Study
from tests.pipelines.study.conftest import WriteStudy
from tests.support.studies import STUDENTS, scripted_study

WORLD = "\nbenchmarks:\n  - {name: world, world: {count: 10}}\n"


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (
            "{over: teacher}",
            "over: there is nothing to compare: the study has one teacher. The study has several of: evolver, round",
        ),
        ("{over: round, objective: wrld}", "search.objective: no benchmark is named 'wrld'. Did you mean 'world'?"),
        ("{over: round, objective: 'world +'}", "search.objective: 'world +' is not a formula"),
        ("{over: round, prior: car}", "search.prior: 'car' needs rewards, but the study has no 'rewards'"),
        ("{over: round, prior: [words, ifd]}", "search.prior[1]: 'ifd' needs scores, but the study has no 'scoring'"),
        (
            "{over: round, prior: rsr}\nscoring: {scorer: tiny}",
            "search.prior: 'rsr' needs the option 'ranks' of scores, and no scorer has it",
        ),
        ("{over: round, prior: distance}", "search.prior: 'distance' cannot be measured on a probe"),
        ("{over: round, prior: [carr]}", "Did you mean 'car'?"),
        ("{over: rounds}", "Did you mean 'round'?"),
        ("{over: [round, round]}", "duplicate value in 'over'"),
        ("{over: round, epsilon: 1.5}", "epsilon 1.5 is a share of the score on the scale 'log'; it must be below 1"),
        ("{over: round, risk: 1}", "search.risk"),
        ("{over: round, rungs: {trust: 0.9}}", "search.rungs: missing key 'shares'"),
        ("{over: round, rungs: {shares: [0.5, 1]}}", "search.rungs.shares[1]"),
        (
            "{over: round, rungs: {shares: [0.5, 0.1, 0.5]}}",
            "the shares 0.5, 0.1, 0.5 must be in rising order, each once: write [0.1, 0.5]",
        ),
        ("{over: round, rungs: {shares: 0.1, trust: 90}}", "search.rungs.trust"),
        ("{over: round, rungs: {shares: 0.1, cells: 2}}", "search.rungs.cells"),
        ("{over: round, rungs: {share: 0.1}}", "Did you mean 'shares'?"),
    ],
)
def test_mistakes_are_told_with_their_place(write_study: WriteStudy, block: str, told: str) -> None:
    path = write_study(add=f"{WORLD}search: {block}\n")
    with pytest.raises((InputError, InputErrors)) as caught:
        check(load(path))
    assert told in str(caught.value) and str(path) in str(caught.value)


def test_finals_need_their_seeds(write_study: WriteStudy) -> None:
    path = write_study(
        {"    recipe: quick\n": "    recipe: quick\n    seeds: 2\n"}, f"{WORLD}search: {{over: round, seeds: 3}}\n"
    )
    with pytest.raises(
        InputError, match=r"search.seeds: the finals need 3 training seeds, but the student 'tiny' has 2"
    ):
        check(load(path))


def test_a_search_needs_students_and_benchmarks(write_study: WriteStudy) -> None:
    with pytest.raises(InputError, match="a search compares trained students, but the study has no 'benchmarks'"):
        check(load(write_study(add="search: {over: round}\n")))


def searched(**search: Any) -> Study:
    return scripted_study(**STUDENTS, search=search)


def grid_of(study: Study) -> SearchGrid:
    found = search_grid(study, build(study, Path()))
    assert found
    return found


def test_the_search_is_in_no_key_and_its_finals_add_trainings_only() -> None:
    plain = build(scripted_study(**STUDENTS), Path()).steps.keys()
    one = build(searched(over="teacher", prior=["ifd"], epsilon=0.2, risk=0.3, start=1, probe=7), Path()).steps
    assert one.keys() == plain
    more = build(searched(over="teacher", seeds=2), Path()).steps
    assert more.keys() > plain
    assert {step.kind for key, step in more.items() if key not in plain} == {"train", "evaluate"}


def test_partial_trainings_are_steps_of_their_own_beside_an_unchanged_grid() -> None:
    plain = build(searched(over="teacher"), Path())
    parted = build(searched(over="teacher", rungs={"shares": [0.1, 0.5]}), Path())
    assert parted.steps.keys() > plain.steps.keys()
    assert [cell.train and cell.train.key for cell in parted.cells] == [
        cell.train and cell.train.key for cell in plain.cells
    ]
    assert [one.step.key for one in parted.selected] == [one.step.key for one in plain.selected]
    more = [step for key, step in parted.steps.items() if key not in plain.steps]
    # 10 data sets, 2 students, 2 shares; both students are trained on the same pairs
    assert Counter(step.kind for step in more) == {"select": 20, "train": 40, "evaluate": 40}
    assert all(step.inputs[0].params.share < 1 for step in more if step.kind == "train")  # type: ignore[attr-defined]
    assert ", 10 % of it" in more[0].label
    other = build(searched(over="teacher", rungs={"shares": [0.1, 0.5], "trust": 0.5, "cells": 9}), Path())
    assert other.steps.keys() == parted.steps.keys()


def test_the_goals_of_a_partial_training_leave_its_data_sets_unmeasured() -> None:
    found = grid_of(searched(over=["teacher", "evolver", "round"], rungs={"shares": 0.25}))
    (cell,) = found.seeded([Cell("small full", "large / small / round 2")], 0.25)
    assert sorted(found.grid.steps[key].kind for key in found.goals([cell])) == ["evaluate", "train"]
    assert found.settings.rungs.shares == (0.25,) and found.settings.seeds == 1


def test_only_the_first_seed_of_a_student_has_partial_trainings() -> None:
    students = [{"model": "small", "recipe": "full", "seeds": [5, 3]}]
    study = scripted_study(**STUDENTS | {"students": students}, search={"over": "teacher", "rungs": {"shares": 0.5}})
    assert {cell.seed for cell in build(study, Path()).partial} == {5}
    found = grid_of(study)
    assert {(place.seed, place.share) for place in found.trainings} == {(0, 1.0), (1, 1.0), (0, 0.5)}


def test_cells_have_all_trainings_of_their_arm_and_the_first_seed() -> None:
    found = grid_of(searched(over="teacher", seeds=2))
    assert found.space.students == ("small full", "large lora") and found.space.arms == ("small", "large")
    sizes = {(place.cell, place.seed): len(trainings) for place, trainings in found.trainings.items()}
    assert sizes == {(cell, seed): 5 for cell in found.space.cells for seed in (0, 1)}  # the seeds, and 2 x 2 rounds
    assert {
        one.pairs.teacher for one in found.trainings[found.seeded([Cell("small full", "large")])[0]] if one.pairs
    } == {"large"}


def test_arms_of_several_coordinates_are_their_combinations_and_cells_that_the_grid_lacks_are_absent() -> None:
    found = grid_of(searched(over=["evolver", "round", "recipe"]))
    assert found.space.students == ("small", "large")
    assert len(found.space.arms) == 10 and "small / round 2 / full" in found.space.arms
    assert "seeds / round 0 / lora" in found.space.arms
    assert Cell("small", "seeds / round 0 / lora") in found.space.absent


def test_the_goals_of_a_cell_are_its_trainings_evaluations_and_data_sets() -> None:
    found = grid_of(searched(over=["teacher", "evolver", "round"], prior=["ifd"]))
    (cell,) = found.seeded([Cell("small full", "large / small / round 2")])
    labels = [found.grid.steps[key].label for key in found.goals([cell])]
    assert sorted(label.split()[0] for label in labels) == ["evaluate", "evolve", "respond", "score", "train"]
    assert {found.grid.steps[key].kind for key in found.probe_goals()} == {"respond", "score"}
    assert len(found.probe_goals()) == 20
    assert {found.grid.steps[key].label for key in found.base_goals()} and len(found.base_goals()) == 2
