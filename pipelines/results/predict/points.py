"""The data sets of a study as points: the means of their metrics, and how the students did that they trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from pipelines.evaluate.scores import headline
from pipelines.operators.select.car import cars
from pipelines.results.predict.paradox import average_performance
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.store import Store
from pipelines.study.graph.grid import Grid, PairSet
from pipelines.study.graph.params import EvaluateJob, VerdictJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.study import Study

SCORES = ("ppl_instruction", "ppl_answer", "ppl_conditional", "ifd", "ifd_ppl", "ic_ifd")
LOSS = "loss_conditional"  # of which CAR is made


@dataclass(frozen=True, slots=True)
class Place:
    """What points have in common that are compared: one student, trained on one selection of data sets of one seed set.

    `benchmark` is what it was asked; "mean" stands for the mean over several benchmarks.
    """

    seeds: str
    student: str
    selection: str
    benchmark: str


@dataclass(frozen=True, slots=True)
class Point:
    """A data set by its place in the grid, and its metrics: means over the rows that have them."""

    pairs: PairSet
    metrics: Mapping[str, float]


def points(study: Study, grid: Grid, store: Store) -> list[Point]:
    """One point for every data set of the study whose answers are finished."""
    done = store.done()
    sets = [pairs for pairs in grid.sets if pairs.responses.key in done]
    found = [Point(pairs, dict(_metrics(pairs, store, done))) for pairs in sets]
    return [Point(one.pairs, {**one.metrics, **car}) for one, car in zip(found, _cars(study, found), strict=True)]


def performances(grid: Grid, store: Store) -> dict[Place, dict[PairSet, float]]:
    """The number that stands for each benchmark of every evaluated student, by the data set it was trained on."""
    done, found = store.done(), dict[Place, dict[PairSet, float]]()
    for cell in grid.cells:
        pairs, student = cell.pairs, f"{cell.student.model} {cell.student.recipe}"
        marks = {name: _score(store, step) for name, step in cell.evaluations if step.key in done}
        if pairs is None or not marks:
            continue
        if len(marks) > 1 and len(marks) == len(cell.evaluations):
            marks["mean"] = average_performance(*marks.values())
        for name, mark in marks.items():
            found.setdefault(Place(pairs.seeds, student, cell.selection, name), {})[pairs] = mark
    return found


def _metrics(pairs: PairSet, store: Store, done: frozenset[str]) -> Iterator[tuple[str, float]]:
    yield "length", _mean(store, pairs.responses, "tokens_out")
    if pairs.scores and pairs.scores.key in done:
        yield from ((name, _mean(store, pairs.scores, name)) for name in (*SCORES, LOSS))
    if pairs.diversity and pairs.diversity.key in done:
        yield "distance", _mean(store, pairs.diversity, "distance")
    for name, step in pairs.rewards:
        if step.key in done:
            yield f"reward {name}", _mean(store, step, "reward")


def _cars(study: Study, found: list[Point]) -> list[dict[str, float]]:
    """CAR of every point that has a reward and a loss, by reward model and beta."""
    made: list[dict[str, float]] = [{} for _ in found]
    for name in study.rewards:
        metric = f"reward {name}"
        known = [place for place, one in enumerate(found) if metric in one.metrics and LOSS in one.metrics]
        compared = [(found[place].metrics[metric], found[place].metrics[LOSS]) for place in known]
        for beta in study.car.betas:
            for place, value in zip(known, cars(compared, beta, study.car.mode), strict=True):
                made[place][f"car {name}, beta {beta:g}"] = value
    return made


def _score(store: Store, step: Step) -> float:
    """The number of a benchmark, from the rows of its last step."""
    assert isinstance(step.job, EvaluateJob | VerdictJob)
    return headline(step.job.benchmark, from_table(AnswerRow, store.rows(step.kind, step.key)))


def _mean(store: Store, step: Step, column: str) -> float:
    """The mean of a column over the rows in which it is a number; NaN if there are none."""
    values = store.rows(step.kind, step.key, columns=[column]).column(column).to_pylist()
    known = [float(value) for value in values if math.isfinite(value)]
    return fmean(known) if known else math.nan
