"""Evaluates predictors in a finished study: rho of every metric, and whether larger teachers were better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.planning.model_size import parameters
from pipelines.results.predict.correlation import Correlation, correlate
from pipelines.results.predict.paradox import Paradox, Teacher, paradoxes
from pipelines.results.predict.points import ComparisonGroup, Point, collect_performances, collect_points
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.spec.study import Study

MIN_POINTS = 4  # with fewer points, a correlation by chance is too likely


@dataclass(frozen=True, slots=True)
class Prediction:
    """The correlation of a metric of data sets with the performance of their students; None for too few points.

    `left_out` is the number of points without the metric.
    """

    metric: str
    correlation: Correlation | None
    points: int
    left_out: int


def predict_from_metrics(study: Study, grid: Grid, store: Store) -> dict[ComparisonGroup, list[Prediction]]:
    """Return the predictions of all metrics in every group of compared points, the highest rho first."""
    found = {point.pairs: point for point in collect_points(study, grid, store)}
    return {
        place: sorted(_group_predictions(study, place.base, found, measured), key=_rank)
        for place, measured in collect_performances(grid, store).items()
    }


def compare_teacher_sizes(study: Study, folder: Path, grid: Grid, store: Store) -> list[Paradox]:
    """Compare every two teachers of the study with known sizes: how often was the smaller one's student better?

    The compared students differ only in the teacher. `folder` is the study file's.
    """
    sizes = {name: parameters(study.models[name], folder) for name in study.responses.teachers}
    teachers = [Teacher(name, "", size / 1e9) for name, size in sizes.items() if size]
    measured = {
        (repr((place, pairs.method, pairs.evolver, pairs.round, pairs.decoding)), pairs.teacher): value
        for place, values in collect_performances(grid, store).items()
        if place.benchmark != "mean"
        for pairs, value in values.items()
    }
    return paradoxes(teachers, measured)


def _group_predictions(
    study: Study, base: str, found: Mapping[InstructionDataset, Point], measured: Mapping[InstructionDataset, float]
) -> Iterator[Prediction]:
    points_of_group = [(found[pairs].for_students_of(base), value) for pairs, value in measured.items()]
    for metric in dict.fromkeys(name for metrics, _ in points_of_group for name in metrics):
        known = [
            (metrics[metric], value)
            for metrics, value in points_of_group
            if math.isfinite(metrics.get(metric, math.nan))
        ]
        correlation = correlate(*zip(*known, strict=True), seed=study.seed) if len(known) >= MIN_POINTS else None
        yield Prediction(metric, correlation, len(known), len(points_of_group) - len(known))


def _rank(prediction: Prediction) -> tuple[bool, float]:
    rho = prediction.correlation.rho if prediction.correlation else math.nan
    return math.isnan(rho), -rho if not math.isnan(rho) else 0.0
