"""The priors of a search: means of metrics over the answers of a probe, by cell."""

from __future__ import annotations

import math
from statistics import fmean

from pipelines.operators.select.car import cars
from pipelines.operators.select.measurements import read_measurements
from pipelines.operators.select.metrics import PairMeasurements, metric_value
from pipelines.search.space import Cell
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.search_grid import SearchGrid, Values
from pipelines.study.spec.pairs.selection import METRICS

CAR_BETA = 1.0
LOSS = "loss"  # of an answer after its instruction, in CAR


def read_priors(grid: SearchGrid, store: Store) -> dict[str, Values]:
    """Return the value of each prior by cell; a higher one is better. Cells without a value are left out.

    A cell's value is the mean over its data sets.
    """
    return {name: _prior(grid, store, name) for name in grid.search.prior}


def _prior(grid: SearchGrid, store: Store, name: str) -> Values:
    if name == "car":
        return _car_prior(grid, store)
    sign = 1.0 if METRICS[name].better == "high" else -1.0
    found = {cell: _mean_over_sets(grid, store, name, cell) for cell in grid.space.cells}
    return {cell: sign * value for cell, value in found.items() if math.isfinite(value)}


def _car_prior(grid: SearchGrid, store: Store) -> Values:
    """Return CAR by cell: of the mean reward and the mean loss, as for whole data sets."""
    rewards, losses = (
        {cell: _mean_over_sets(grid, store, name, cell) for cell in grid.space.cells} for name in ("reward", LOSS)
    )
    known = [cell for cell in grid.space.cells if math.isfinite(rewards[cell]) and math.isfinite(losses[cell])]
    points = [(rewards[cell], losses[cell]) for cell in known]
    return dict(zip(known, cars(points, CAR_BETA, grid.study.car.mode), strict=True))


def _mean_over_sets(grid: SearchGrid, store: Store, name: str, cell: Cell) -> float:
    base = grid.base_of(cell.student)
    found = [_set_mean(grid, store, name, pairs, base) for pairs in grid.data_sets(cell)]
    known = [value for value in found if math.isfinite(value)]
    return fmean(known) if known else math.nan


def _set_mean(grid: SearchGrid, store: Store, name: str, pairs: InstructionDataset, base: str) -> float:
    """Return the mean of a metric (or LOSS) over the pairs of the probe that have it; NaN without any."""
    kinds, option = (("score",), "") if name == LOSS else (METRICS[name].needs, METRICS[name].option)
    steps = _measuring_steps(kinds, option, pairs, base)
    if steps is None:
        return math.nan
    answers, measured = read_measurements(store, pairs.responses, steps, grid.search.probe)
    of_pairs = [(pair, {kind: found.get(pair.id) for kind, found in measured.items()}) for pair in answers]
    whole = (PairMeasurements(pair, rows, grid.study.seed) for pair, rows in of_pairs if all(rows.values()))
    known = [value for one in whole if math.isfinite(value := _value(name, one))]
    return fmean(known) if known else math.nan


def _value(name: str, measurements: PairMeasurements) -> float:
    if name == LOSS:
        return measurements.rows_by_kind["score"].loss_conditional
    return metric_value(name, measurements)


def _measuring_steps(
    kinds: tuple[str, ...], option: str, pairs: InstructionDataset, base: str
) -> dict[str, Step] | None:
    """Return the steps whose rows a metric is taken from, by kind; None if the data set has not all of them.

    Scores are those of the first scorer that has the metric's option, under the student's own base if it has several.
    """
    scorers = dict.fromkeys(each.scorer for each in pairs.score_steps if not option or each.has_option(option))
    scores = pairs.scored_by(next(iter(scorers)), base) if scorers else None
    special = {"score": scores, "reward": pairs.reward(None), "lengths": pairs.measure("lengths") or scores}
    found = {kind: special[kind] if kind in special else pairs.measure(kind) for kind in kinds}
    known = {kind: step for kind, step in found.items() if step}
    return known if len(known) == len(found) else None
