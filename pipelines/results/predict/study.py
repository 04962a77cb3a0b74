"""What a finished study says of prediction: rho of every metric, and whether larger teachers were better ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.planning.model_size import parameters
from pipelines.results.predict.correlation import Correlation, correlate
from pipelines.results.predict.paradox import Paradox, Teacher, paradoxes
from pipelines.results.predict.points import LOSS, Place, Point, performances, points
from pipelines.store.store import Store
from pipelines.study.graph.grid import Grid, PairSet
from pipelines.study.spec.study import Study

FEW = 4  # below, any order of points is too likely by chance to say anything


@dataclass(frozen=True, slots=True)
class Prediction:
    """How a metric of data sets goes with the performance of their students; no correlation if points are too few.

    `left_out` are points without the metric.
    """

    metric: str
    correlation: Correlation | None
    points: int
    left_out: int


def predictions(study: Study, grid: Grid, store: Store) -> dict[Place, list[Prediction]]:
    """Rho of every metric at every place with trained students, the highest first."""
    found = {point.pairs: point for point in points(study, grid, store)}
    return {
        place: sorted(_of_place(study, found, measured), key=_rank)
        for place, measured in performances(grid, store).items()
    }


def larger_teachers(study: Study, folder: Path, grid: Grid, store: Store) -> list[Paradox]:
    """Every two teachers of the study whose sizes are known, and how often the smaller one's student was the better.

    What is compared differs in the teacher alone. `folder` is the study file's.
    """
    sizes = {name: parameters(study.models[name], folder) for name in study.responses.teachers}
    teachers = [Teacher(name, "", size / 1e9) for name, size in sizes.items() if size]
    measured = {
        (repr((place, pairs.method, pairs.evolver, pairs.round, pairs.decoding)), pairs.teacher): value
        for place, values in performances(grid, store).items()
        if place.benchmark != "mean"
        for pairs, value in values.items()
    }
    return paradoxes(teachers, measured)


def _of_place(study: Study, found: Mapping[PairSet, Point], measured: Mapping[PairSet, float]) -> Iterator[Prediction]:
    here = [(found[pairs].metrics, value) for pairs, value in measured.items()]
    for metric in dict.fromkeys(name for metrics, _ in here for name in metrics if name != LOSS):
        known = [(metrics[metric], value) for metrics, value in here if math.isfinite(metrics.get(metric, math.nan))]
        enough = correlate(*zip(*known, strict=True), seed=study.seed) if len(known) >= FEW else None
        yield Prediction(metric, enough, len(known), len(here) - len(known))


def _rank(prediction: Prediction) -> tuple[bool, float]:
    rho = prediction.correlation.rho if prediction.correlation else math.nan
    return math.isnan(rho), -rho if not math.isnan(rho) else 0.0
