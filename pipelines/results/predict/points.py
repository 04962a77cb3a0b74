"""The data sets of a study as points: the means of their metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from pipelines.operators.select.car import cars
from pipelines.operators.select.measurements import ReportedMetric, reported, reported_values
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

LOSS_COLUMN = "loss_conditional"  # the loss in CAR


@dataclass(frozen=True, slots=True)
class Point:
    """A data set of the grid and its metrics: each is the mean over the rows that have it.

    Data sets that differ only in the seeds of their answers are one point: `pairs` is the first, and metrics are means.
    """

    pairs: InstructionDataset
    metrics: Mapping[ReportedMetric, float]

    def for_students_of(self, base: str) -> dict[str, float]:
        """Return the metrics by name that have a meaning for students of a base model: no other base's own scores."""
        return {metric.name: value for metric, value in self._known_for(base)}

    def _known_for(self, base: str) -> Iterator[tuple[ReportedMetric, float]]:
        for metric, value in self.metrics.items():
            if metric.base in ("", base) and metric.metric != LOSS_COLUMN:
                yield metric, value


def collect_points(study: Study, grid: Grid, store: Store) -> list[Point]:
    """Return one point for every data set of the study whose answers are finished, as a mean over their seeds."""
    done, groups = store.finished_keys(), dict[InstructionDataset, list[Mapping[ReportedMetric, float]]]()
    for pairs, first in first_of_seeds(grid).items():
        if pairs.responses.key in done:
            groups.setdefault(first, []).append(dict(_metric_means(pairs, store, done, study.seed)))
    found = [Point(first, _mean_metrics(metrics)) for first, metrics in groups.items()]
    return [
        Point(one.pairs, {**one.metrics, **_rsr(one), **car})
        for one, car in zip(found, _car_values(study, found), strict=True)
    ]


def first_of_seeds(grid: Grid) -> dict[InstructionDataset, InstructionDataset]:
    """Return for every data set the first of those that differ from it only in the seeds of their answers."""
    first: dict[tuple[str | int, ...], InstructionDataset] = {}
    return {pairs: first.setdefault(pairs.place_without_seed, pairs) for pairs in grid.sets}


def _mean_metrics(by_seed: Sequence[Mapping[ReportedMetric, float]]) -> dict[ReportedMetric, float]:
    """Return the mean of each metric over the seeds of answers."""
    return {name: fmean(metrics[name] for metrics in by_seed if name in metrics) for name in by_seed[0]}


def _metric_means(
    pairs: InstructionDataset, store: Store, done: frozenset[str], seed: int
) -> Iterator[tuple[ReportedMetric, float]]:
    yield from _answer_lengths(pairs, store, done)
    yield from ((metric, _mean(values)) for metric, values in reported_values(store, pairs, done, seed).items())
    for scored in pairs.score_steps:
        if scored.step.key in done:
            yield reported(LOSS_COLUMN, pairs, scored), _column_mean(store, scored.step, LOSS_COLUMN)
    if pairs.diversity and pairs.diversity.key in done:
        yield ReportedMetric("distance"), _column_mean(store, pairs.diversity, "distance")
    for name, step in pairs.rewards:
        if step.key in done:
            yield ReportedMetric(f"reward {name}"), _column_mean(store, step, "reward")


def _answer_lengths(
    pairs: InstructionDataset, store: Store, done: frozenset[str]
) -> Iterator[tuple[ReportedMetric, float]]:
    """Yield the mean number of tokens of the answers in each scorer's tokenizer, or in their own teacher's.

    Those in the tokenizer of the study's `lengths` are a reported metric.
    """
    if pairs.measure("lengths"):
        return
    if not pairs.score_steps:
        yield ReportedMetric("length_answer"), _column_mean(store, pairs.responses, "tokens_out")
    for scored in pairs.score_steps:
        if scored.step.key in done:
            yield reported("length_answer", pairs, scored), _column_mean(store, scored.step, "tokens_answer")


def _rsr(point: Point) -> dict[ReportedMetric, float]:
    """Return RSR of a data set: the mean over its pairs of the mean rank, over that of the loss (2601.14249)."""
    found = dict[ReportedMetric, float]()
    for metric, rank in point.metrics.items():
        loss = point.metrics.get(metric._replace(metric=LOSS_COLUMN))
        if metric.metric == "mean_rank" and loss:
            found[metric._replace(metric="rsr")] = rank / loss
    return found


def _car_values(study: Study, found: list[Point]) -> list[dict[ReportedMetric, float]]:
    """Return CAR of every point that has a reward and a loss, by reward model, scorer and beta."""
    car_by_point: list[dict[ReportedMetric, float]] = [{} for _ in found]
    losses = dict.fromkeys(metric for one in found for metric in one.metrics if metric.metric == LOSS_COLUMN)
    for name, loss in product(study.rewards, losses):
        reward = ReportedMetric(f"reward {name}")
        known = [place for place, one in enumerate(found) if reward in one.metrics and loss in one.metrics]
        compared = [(found[place].metrics[reward], found[place].metrics[loss]) for place in known]
        for beta in study.car.betas:
            metric = loss._replace(metric=f"car {name}, beta {beta:g}")
            for place, value in zip(known, cars(compared, beta, study.car.mode), strict=True):
                car_by_point[place][metric] = value
    return car_by_point


def _column_mean(store: Store, step: Step, column: str) -> float:
    """Return the mean of a column's finite values; NaN if there are none."""
    values = store.rows(step.kind, step.key, columns=[column]).column(column).to_pylist()
    return _mean([float(value) for value in values if math.isfinite(value)])


def _mean(values: list[float]) -> float:
    return fmean(values) if values else math.nan
