"""The model of adaptive searches, fitted to a finished study: predicted and measured scores, quality of priors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.results.predict.correlation import spearman
from pipelines.results.predict.performance import (
    MIN_POINTS,
    Axis,
    ComparisonGroup,
    collect_performances,
    compared_axis,
)
from pipelines.results.predict.points import Point, collect_points
from pipelines.search.model import fit
from pipelines.search.ranks import Floats
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace
from pipelines.search.utility import to_score, utilities
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.spec.pairs.selection import METRICS
from pipelines.study.spec.study import Study


@dataclass(frozen=True, slots=True)
class PriorQuality:
    """How well a metric predicts: Spearman's rho with the scores for each student, and R2 of the model with it alone.

    Rho is that of the metric's better end, so that a useful metric has a positive one; NaN where it is undefined. R2
    compares left-out predictions with each student's mean; it is negative if the means predict better.
    """

    metric: str
    rho: Mapping[str, float]
    r2: float


@dataclass(frozen=True, slots=True)
class PredictedCell:
    """A student and an arm: its measured score, and the score that the model expects from all other cells."""

    student: str
    arm: str
    measured: float
    expected: float


@dataclass(frozen=True, slots=True)
class GridModel:
    """A grid of students and arms on one benchmark; `cells` are predicted with the prior of the highest R2.

    `place` is what all cells have in common, as text. `priors` are the best one first; the name of the first is empty
    for a model without a prior.
    """

    benchmark: str
    place: str
    priors: tuple[PriorQuality, ...]
    cells: tuple[PredictedCell, ...]


def fit_grids(study: Study, folder: Path, grid: Grid, store: Store, axis: Axis | None = None) -> list[GridModel]:
    """Return the model of every grid of the study that has at least MIN_POINTS measured cells of a student.

    The arms of a grid differ in `axis`, as the points of `predict_from_metrics` do. `folder` is the study file's.
    """
    points = {point.pairs: point for point in collect_points(study, grid, store)}
    by_place = dict[tuple[str, ...], dict[ComparisonGroup, Mapping[InstructionDataset, float]]]()
    for group, measured in collect_performances(study, folder, grid, store, axis or compared_axis(study)).items():
        if len(measured) >= MIN_POINTS:
            place = (group.benchmark, group.seeds, group.selection, group.place)
            by_place.setdefault(place, {})[group] = measured
    return [_grid_model(place, groups, points) for place, groups in by_place.items()]


def _grid_model(
    place: tuple[str, ...],
    groups: Mapping[ComparisonGroup, Mapping[InstructionDataset, float]],
    points: Mapping[InstructionDataset, Point],
) -> GridModel:
    arms = _arm_names([pairs for measured in groups.values() for pairs in measured])
    scores = {
        Cell(group.student, arms[pairs]): value
        for group, measured in groups.items()
        for pairs, value in measured.items()
    }
    priors = dict[str, dict[Cell, float]]()
    for group, measured in groups.items():
        for pairs in measured:
            for metric, value in points[pairs].for_students_of(group.base).items():
                priors.setdefault(metric, {})[Cell(group.student, arms[pairs])] = _oriented(metric, value)
    students = tuple(dict.fromkeys(group.student for group in groups))
    names = tuple(dict.fromkeys(arms.values()))
    candidates = ("", *(name for name in priors if any(map(math.isfinite, priors[name].values()))))
    spaces = {name: SearchSpace(students, names, {name: priors[name]} if name else {}) for name in candidates}
    found = [(_quality(name, space, scores), name) for name, space in spaces.items()]
    found.sort(key=lambda each: -_finite(each[0].r2))  # stable: the model without a prior is the first of equals
    benchmark, *rest = place
    cells = _predicted(spaces[found[0][1]], scores)
    return GridModel(benchmark, ", ".join(filter(None, rest)), tuple(quality for quality, _ in found), cells)


def _arm_names(sets: Sequence[InstructionDataset]) -> dict[InstructionDataset, str]:
    """Return the shortest names that tell the data sets apart: the coordinates in which they differ."""
    distinct = list(dict.fromkeys(sets))
    coordinates = {
        pairs: (pairs.union, pairs.evolved_by, f"round {pairs.round}", pairs.teacher, pairs.decoding)
        for pairs in distinct
    }
    columns = list(zip(*coordinates.values(), strict=True))
    varied = [number for number, column in enumerate(columns) if len(set(column)) > 1]
    names = {
        pairs: " ".join(filter(None, (known[number] for number in varied))) for pairs, known in coordinates.items()
    }
    return {
        pairs: name if list(names.values()).count(name) == 1 else f"{name} {place}".strip()
        for place, (pairs, name) in enumerate(names.items(), 1)
    }


def _oriented(metric: str, value: float) -> float:
    """Return a metric's value so that higher is better. The first word of its name may be one of METRICS."""
    spec = METRICS.get(metric.split()[0])
    return -value if spec and spec.better == "low" else value


def _settings(scores: Mapping[Cell, float]) -> SearchSettings:
    return SearchSettings(scale="linear" if min(scores.values()) < 0 else "log")


def _quality(name: str, space: SearchSpace, scores: Mapping[Cell, float]) -> PriorQuality:
    utility = utilities(space, Evidence(scores), _settings(scores))
    left_out = fit(space, utility).left_out
    rho = {
        student: _rho(
            [(prior[cell], score) for cell, score in scores.items() if cell.student == student and cell in prior]
        )
        for prior in space.priors.values()
        for student in space.students
    }
    return PriorQuality(name, rho, _r2(utility, left_out))


def _rho(pairs: Sequence[tuple[float, float]]) -> float:
    known = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return spearman(*zip(*known, strict=True)) if len(known) >= MIN_POINTS else math.nan


def _r2(utility: Floats, left_out: Floats) -> float:
    """Return 1 minus the ratio of squared errors of left-out predictions to those of each student's mean."""
    known = np.isfinite(left_out)
    means = np.nanmean(np.where(known, utility, math.nan), axis=1, keepdims=True)
    total = float(np.where(known, (utility - means) ** 2, 0).sum())
    return 1 - float(np.where(known, (utility - left_out) ** 2, 0).sum()) / total if total else math.nan


def _predicted(space: SearchSpace, scores: Mapping[Cell, float]) -> tuple[PredictedCell, ...]:
    settings = _settings(scores)
    left_out = fit(space, utilities(space, Evidence(scores), settings)).left_out
    return tuple(
        PredictedCell(cell.student, cell.arm, scores[cell], to_score(float(expected), settings))
        for cell, expected in zip(space.cells, left_out.ravel(), strict=True)
        if math.isfinite(expected)
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
