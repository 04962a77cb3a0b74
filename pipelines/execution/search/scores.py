"""What a search measures: the scores of trained cells, and which arms a paired test separates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from pipelines.results.predict.performance import performance_formula, training_performance
from pipelines.results.report.collect.results import task_scores
from pipelines.results.report.data.comparisons import difference
from pipelines.results.report.data.seeds import Runs
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.search.finals import SeededCell
from pipelines.search.space import Cell
from pipelines.store.store import Store
from pipelines.study.graph.steps import grid as steps
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.search_grid import SearchGrid
from pipelines.study.spec.evaluation.performance import Formula, plain_name

Context = tuple[str, str]  # of a training: its benchmark, and all coordinates but the arm's and the seeds


def objective(grid: SearchGrid) -> Formula | None:
    """Return the formula of a training's score; None for the mean over all benchmarks."""
    return Formula(grid.search.objective) if grid.search.objective else performance_formula(grid.study)


def read_scores(grid: SearchGrid, store: Store, folder: Path) -> dict[SeededCell, float]:
    """Return the scores of the cells all of whose trainings are evaluated: means over these."""
    done, formula, found = store.finished_keys(), objective(grid), dict[SeededCell, float]()
    for place, trainings in grid.trainings.items():
        if all(one.train and one.train.key in done for one in trainings):
            values = [training_performance(one, formula, store, done, folder) for one in trainings]
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                found[place] = fmean(known)
    return found


def mean_scores(scores: Mapping[SeededCell, float]) -> dict[Cell, float]:
    """Return the means of cells over their seeds, without partial trainings."""
    by_cell: defaultdict[Cell, list[float]] = defaultdict(list)
    for place, value in sorted(scores.items()):
        if place.share == 1:
            by_cell[place.cell].append(value)
    return {cell: fmean(values) for cell, values in by_cell.items()}


def partial_scores(scores: Mapping[SeededCell, float]) -> dict[float, dict[Cell, float]]:
    """Return the scores of partial trainings by their share of the rows."""
    by_share: defaultdict[float, dict[Cell, float]] = defaultdict(dict)
    for place, value in sorted(scores.items()):
        if place.share < 1:
            by_share[place.share][place.cell] = value
    return dict(by_share)


class PairedTest:
    """Tests whether two arms differ for some students, over the tasks of the benchmarks that the objective needs."""

    def __init__(self, grid: SearchGrid, store: Store, students: Sequence[str]) -> None:
        self.grid, self.store, self.students = grid, store, students
        self.done = store.finished_keys()

    def p_value(self, first: str, second: str) -> float | None:
        """Return the two-sided p-value of the difference of two arms; None if they share no tasks.

        The trainings of two arms are compared one by one if they differ in nothing else, or else all together.
        """
        mine, others = self._runs(first), self._runs(second)
        if mine.keys() != others.keys():
            mine, others = _pooled(mine), _pooled(others)
        pairs = [(mine[context], others[context]) for context in mine if context in others]
        found = difference(pairs) if pairs else None
        return found.p if found else None

    def _runs(self, arm: str) -> dict[Context, Runs]:
        """Return the points of an arm's tasks by context, for each seed."""
        found: defaultdict[Context, list[TaskScores]] = defaultdict(list)
        for place, trainings in self.grid.trainings.items():
            if place.share == 1 and place.cell.arm == arm and place.cell.student in self.students:
                for one in trainings:
                    for benchmark, points in self._points(one):
                        found[benchmark, self._place(one)].append(points)
        return {context: tuple(runs) for context, runs in found.items()}

    def _points(self, one: steps.Cell) -> list[tuple[str, TaskScores]]:
        formula, found = objective(self.grid), list[tuple[str, TaskScores]]()
        wanted = {term.benchmark for term in formula.terms()} if formula else None
        for name, step in one.evaluations:
            if step.key in self.done and (wanted is None or plain_name(name) in wanted):
                assert isinstance(step.params, EvaluateParams | VerdictParams)
                rows = from_table(AnswerRow, self.store.rows(step.kind, step.key))
                found.append((name, next(iter(task_scores(step.params.benchmark, rows).values()))))
        return found

    def _place(self, one: steps.Cell) -> str:
        """Return the coordinates of a training but those of the arm and the seeds, as text."""
        assert one.pairs
        over, pairs = self.grid.search.over, one.pairs
        parts = {
            "teacher": pairs.teacher,
            "evolver": pairs.evolved_by,
            "round": str(pairs.round),
            "selection": one.selection,
            "decoding": pairs.decoding,
            "recipe": one.student.recipe,
        }
        return " | ".join([one.student.model, pairs.seeds, *(text for axis, text in parts.items() if axis not in over)])


def _pooled(found: Mapping[Context, Runs]) -> dict[Context, Runs]:
    """Return the runs of all contexts by benchmark."""
    names = dict.fromkeys(benchmark for benchmark, _ in found)
    return {
        (name, ""): tuple(run for (benchmark, _), runs in found.items() if benchmark == name for run in runs)
        for name in names
    }
