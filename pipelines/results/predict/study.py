"""Evaluates predictors in a finished study: rho of every metric, and whether larger teachers were better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from actors.engines.registry import engine_info
from pipelines.planning.model_size import model_config, parameters
from pipelines.results.predict.correlation import Correlation, correlate
from pipelines.results.predict.paradox import Paradox, Teacher, paradoxes
from pipelines.results.predict.performance import (
    MEAN,
    MIN_POINTS,
    PERFORMANCE,
    Axis,
    ComparisonGroup,
    collect_performances,
    compared_axis,
)
from pipelines.results.predict.points import Point, collect_points
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.inputs.models import resolve_model_path
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study


@dataclass(frozen=True, slots=True)
class Prediction:
    """The correlation of a metric of data sets with the performance of their students; None for too few points.

    `left_out` is the number of points without the metric.
    """

    metric: str
    correlation: Correlation | None
    points: int
    left_out: int


def predict_from_metrics(
    study: Study, folder: Path, grid: Grid, store: Store, axis: Axis | None = None
) -> dict[ComparisonGroup, list[Prediction]]:
    """Return the predictions of all metrics in every group of compared points, the highest rho first.

    Points of a group differ in `axis` only, by default in their teachers (2411.07133). `folder` is the study file's.
    """
    found = {point.pairs: point for point in collect_points(study, grid, store)}
    return {
        place: sorted(_group_predictions(study, place.base, found, measured), key=_rank)
        for place, measured in collect_performances(study, folder, grid, store, axis or compared_axis(study)).items()
    }


def compare_teacher_sizes(study: Study, folder: Path, grid: Grid, store: Store) -> list[Paradox]:
    """Compare every two teachers of a family with known sizes: how often was the smaller one's student better?

    The compared students differ only in the teacher. They are compared by the study's performance, or by the mean over
    its benchmarks, or by its only benchmark. `folder` is the study file's.
    """
    known = [_teacher(name, study.models[name], folder) for name in study.responses.teachers]
    measured = collect_performances(study, folder, grid, store, "teacher")
    names = {place.benchmark for place in measured}
    compared = {PERFORMANCE} & names or {MEAN} & names or names
    performance = {
        (repr(place), pairs.teacher): value
        for place, values in measured.items()
        if place.benchmark in compared
        for pairs, value in values.items()
    }
    return paradoxes([teacher for teacher in known if teacher], performance)


def teachers_without_family(study: Study, folder: Path) -> list[str]:
    """Return the teachers whose family or size is not known, so that they cannot be compared with others by size."""
    return [name for name in study.responses.teachers if _teacher(name, study.models[name], folder) is None]


def _teacher(name: str, model: Model, folder: Path) -> Teacher | None:
    size = parameters(model, folder)
    known = engine_info(model.engine, model.gpus).has_weights and not model.family
    config = model_config(resolve_model_path(model, folder), model.revision) if known else None
    family = model.family or str((config or {}).get("model_type", ""))
    return Teacher(name, family, size / 1e9) if size and family else None


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
