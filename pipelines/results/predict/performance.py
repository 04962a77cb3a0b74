"""The measured performance of students: each benchmark's score, and the study's formula over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal, get_args

from pipelines.evaluate.scores import scores
from pipelines.results.predict.paradox import average_performance
from pipelines.results.predict.points import first_of_seeds
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Cell, Grid, InstructionDataset
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.evaluation.performance import Formula, Term, plain_name
from pipelines.study.spec.study import Study

Axis = Literal["teacher", "evolver", "round", "decoding", "all"]
AXES: tuple[Axis, ...] = get_args(Axis)
MIN_POINTS = 4  # with fewer points, a correlation by chance is too likely
PERFORMANCE, MEAN = "performance", "mean"


@dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """What compared points have in common: a student, a selection, the seeds, and all coordinates but the compared one.

    `benchmark` is the benchmark of the scores, "performance" for the study's formula, or "mean" for the mean over
    several benchmarks. `base` is the student's base model, `place` the other coordinates as text.
    """

    seeds: str
    student: str
    selection: str
    benchmark: str
    base: str = ""
    place: str = ""


def compared_axis(study: Study) -> Axis:
    """Return what a study compares: its teachers (2411.07133) if there are enough of them, or else all sets."""
    given = study.responses.given
    return "teacher" if len({*study.responses.teachers, *(one.name for one in given)}) >= MIN_POINTS else "all"


def collect_performances(
    study: Study, folder: Path, grid: Grid, store: Store, axis: Axis
) -> dict[ComparisonGroup, dict[InstructionDataset, float]]:
    """Return the scores of every evaluated student by the data set it was trained on, in groups of compared sets.

    Scores are means over the seeds of trainings and of answers. `folder` is the study file's.
    """
    by_seed = dict[ComparisonGroup, dict[InstructionDataset, list[float]]]()
    firsts = first_of_seeds(grid)
    for cell, values in _measured_cells(study, folder, grid, store):
        assert cell.pairs
        student, place = f"{cell.student.model} {cell.student.recipe}", _place(cell.pairs, axis)
        for name, value in values.items():
            group = ComparisonGroup(cell.pairs.seeds, student, cell.selection, name, cell.student.model, place)
            by_seed.setdefault(group, {}).setdefault(firsts[cell.pairs], []).append(value)
    return {group: {pairs: fmean(values) for pairs, values in found.items()} for group, found in by_seed.items()}


def _place(pairs: InstructionDataset, axis: Axis) -> str:
    """Return the coordinates in which sets must be equal to be compared along an axis, as text."""
    if axis == "all":
        return ""
    teacher = "" if axis == "teacher" else pairs.teacher
    evolver = "" if axis == "evolver" else pairs.evolved_by
    number = "" if axis == "round" else f"round {pairs.round}"
    decoding = "" if axis == "decoding" else pairs.decoding
    return ", ".join(filter(None, (pairs.union, evolver, number, teacher, decoding)))


def _measured_cells(study: Study, folder: Path, grid: Grid, store: Store) -> Iterator[tuple[Cell, Mapping[str, float]]]:
    """Yield every evaluated training with its scores: of each benchmark, and of all of them together."""
    done, names = store.finished_keys(), {name for cell in grid.cells for name, _ in cell.evaluations}
    formula = performance_formula(study)
    for cell in grid.cells:
        all_scores = {name: _scores(store, step, folder) for name, step in cell.evaluations if step.key in done}
        if cell.pairs is None or not all_scores:
            continue
        values = {name: next(iter(found.values())) for name, found in all_scores.items() if found}
        if formula and (performance := _performance(formula, all_scores)) is not None:
            values[PERFORMANCE] = performance
        elif formula is None and len(values) > 1 and len(values) == len(names):
            values[MEAN] = average_performance(*values.values())
        yield cell, values


def training_performance(
    cell: Cell, formula: Formula | None, store: Store, done: Set[str], folder: Path
) -> float | None:
    """Return the performance of a trained student: the value of a formula, or else the mean over its benchmarks.

    It is None if an evaluation that it needs has no score, or is not among the finished steps `done`.
    """
    all_scores = {name: _scores(store, step, folder) for name, step in cell.evaluations if step.key in done}
    if formula:
        return _performance(formula, all_scores)
    first = [next(iter(found.values())) for found in all_scores.values() if found]
    return average_performance(*first) if first and len(first) == len(cell.evaluations) else None


def performance_formula(study: Study) -> Formula | None:
    """Return the study's formula, or by default that of 2411.07133; None if its benchmarks are not there.

    That is the mean of AlpacaEval's length-controlled win rate and of Arena-Hard.
    """
    if study.performance:
        return Formula(study.performance)
    controlled = [one for one in study.benchmarks if one.judge and one.judge.length_control]
    arena = [one for one in study.benchmarks if one.kind == "arena_hard"]
    if len(controlled) != 1 or len(arena) != 1:
        return None
    return Formula(f"({plain_name(controlled[0].name)} + {plain_name(arena[0].name)}) / 2")


def _performance(formula: Formula, all_scores: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return the value of a formula; None if a score of it is missing, or it divides by zero."""
    known: dict[Term, float] = {}
    for name, found in all_scores.items():
        if found:
            known[Term(plain_name(name))] = next(iter(found.values()))
        known |= {Term(plain_name(name), plain_name(metric)): value for metric, value in found.items()}
    try:
        return formula.value(known)
    except (KeyError, ZeroDivisionError):
        return None


def _scores(store: Store, step: Step, folder: Path) -> dict[str, float]:
    """Return all scores of a benchmark from the rows of its last step, the headline score first."""
    assert isinstance(step.params, EvaluateParams | VerdictParams)
    return scores(step.params.benchmark, from_table(AnswerRow, store.rows(step.kind, step.key)), folder)
