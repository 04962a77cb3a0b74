"""Paired comparisons: like with like, and nothing else."""

from dataclasses import replace

import pytest

from pipelines.results.report.data.comparisons import Difference
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.results.report.tables.effects import effects
from tests.pipelines.results.report import sample


def study(*results: Result) -> ReportData:
    return replace(sample.sample(), results=results)


@pytest.fixture
def cell() -> Result:
    return next(r for r in sample.sample().results if r.evolver == "tiny" and r.round == 1 and r.teacher == "tiny")


def test_the_smallest_model_is_the_reference(cell):
    (effect,) = effects(study(replace(cell, evolver="small", value=50.0), replace(cell, value=40.0)))
    assert (effect.factor, effect.level, effect.reference) == ("evolver", "small", "tiny")
    assert (effect.difference, effect.higher, effect.pairs) == (10.0, 1, 1)


def test_cells_that_differ_in_anything_else_are_not_compared(cell):
    others = [replace(cell, evolver="small", benchmark="other"), replace(cell, evolver="small", student="other")]
    assert effects(study(cell, *others)) == []


def test_un_evolved_seeds_are_round_0_of_every_evolver(cell):
    seeds = replace(cell, evolver="", round=0, value=30.0)
    found = effects(study(seeds, replace(cell, value=40.0), replace(cell, evolver="small", value=50.0)))
    (effect,) = [each for each in found if each.factor == "round"]
    assert (effect.level, effect.reference, effect.difference, effect.pairs) == ("1", "0", 15.0, 2)


def test_untuned_bases_take_no_part_and_every_pair_of_the_grid_does():
    found = {(effect.factor, effect.level): effect.pairs for effect in effects(sample.sample())}
    assert found == {
        ("evolver", "small"): 12,
        ("round", "1"): 8,
        ("round", "2"): 8,
        ("round", "3"): 8,
        ("teacher", "small"): 14,
    }


def test_a_study_without_students_has_no_effects():
    assert effects(sample.foreign()) == []


def test_an_effect_is_tested_on_the_tasks_that_its_pairs_share(cell):
    other = replace(cell, evolver="small", value=100.0)
    better = TaskScores({str(i): 1.0 for i in range(20)}, {str(i): 1.0 for i in range(20)})
    worse = TaskScores({str(i): float(i < 8) for i in range(20)}, {str(i): 1.0 for i in range(20)})
    (effect,) = effects(
        replace(study(replace(cell, value=40.0), other), task_scores={other: (better,), cell: (worse,)})
    )
    assert effect.test is None, "the marks of the result with another value are not these"
    (effect,) = effects(
        replace(
            study(replace(cell, value=40.0), other),
            task_scores={other: (better,), replace(cell, value=40.0): (worse,)},
        )
    )
    assert effect.test is not None and effect.test.points == effect.difference == 60.0
    assert effect.test.p < 0.01 and effect.test.low > 0


def test_results_of_several_seeds_are_compared_over_tasks_and_seeds(cell):
    def run(solved: int) -> TaskScores:
        return TaskScores({str(i): float(i < solved) for i in range(40)}, {str(i): 1.0 for i in range(40)})

    def test(*first: int) -> Difference:
        runs = {
            replace(cell, evolver="small", value=60.0): tuple(map(run, first)),
            replace(cell, value=20.0): (run(7), run(8), run(9)),
        }
        (effect,) = effects(replace(study(*runs), task_scores=runs))
        assert effect.test is not None
        return effect.test

    steady, unsteady = test(24, 24, 24), test(40, 2, 30)
    assert steady.points == unsteady.points == 40.0
    assert steady.p < 0.01 < unsteady.p and unsteady.low < 0 < steady.low
