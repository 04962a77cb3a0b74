"""Scores of several runs that differ in their seeds only: mean, spread, and an interval over seeds and tasks.

The variance of a mean is the sum of that over tasks, of the runs' mean points, and that over runs, of their scores. The
noise of single answers is in both, so that tests reject a little less often than they say. Intervals are from Student's
t with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.bootstrap import score_interval
from pipelines.results.report.data.task_scores import TaskScores

Runs = tuple[TaskScores, ...]
"""The scores of the runs of one cell, which differ in their seeds only."""


@dataclass(frozen=True, slots=True)
class VarianceOfMean:
    """The variance of a mean, and its degrees of freedom (infinite if the variance is known to be 0)."""

    variance: float
    degrees: float

    def __add__(self, other: VarianceOfMean) -> VarianceOfMean:
        """Return the variance of a sum of independent means (Satterthwaite)."""
        whole = self.variance + other.variance
        parts = sum(one.variance**2 / one.degrees for one in (self, other) if one.variance)
        return VarianceOfMean(whole, whole**2 / parts if parts else math.inf)

    def margin(self) -> float:
        """Return half the width of the 95 % interval."""
        if not self.variance:
            return 0.0
        from scipy import stats  # slow to import, and most users of this module need no interval over seeds

        return math.sqrt(self.variance) * float(stats.t.ppf(0.975, self.degrees))

    def p_value(self, value: float) -> float:
        """Return the two-sided p-value of a mean of `value` if the true mean is 0."""
        if not self.variance:
            return 1.0
        from scipy import stats

        return float(2 * stats.t.sf(abs(value) / math.sqrt(self.variance), self.degrees))


@dataclass(frozen=True, slots=True)
class MeanOverSeeds:
    """The mean over runs, their standard deviation (None for one run), and the 95 % interval of the mean."""

    value: float
    spread: float | None
    low: float
    high: float


def mean_over_seeds(values: Sequence[float], runs: Runs) -> MeanOverSeeds:
    """Return the mean of a number over at least two runs.

    `runs` are the tasks' points of each run. Without tasks that all runs share, the interval is over seeds only.
    """
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    tasks = shared_tasks(runs)
    if len(tasks) < 2:
        margin = VarianceOfMean(spread**2 / len(values), len(values) - 1).margin()
        return MeanOverSeeds(mean, spread, mean - margin, mean + margin)
    points = np.array([run.by_task(tasks) for run in runs]).mean(axis=0)
    margin = (variance_over_tasks(points) + variance_over_seeds([runs], [1.0])).margin()
    return MeanOverSeeds(mean, spread, *score_interval(mean - margin, mean + margin, len(tasks)))


def shared_tasks(runs: Sequence[TaskScores]) -> list[str]:
    """Return the tasks that all runs have, sorted."""
    return sorted(set.intersection(*(set(run.possible) for run in runs))) if runs else []


def variance_over_tasks(contributions: np.ndarray[tuple[int], np.dtype[np.float64]]) -> VarianceOfMean:
    """Return the variance of a sum of contributions by task (at least two), as a sample of tasks."""
    count = len(contributions)
    return VarianceOfMean(float(count * np.var(contributions, ddof=1)), count - 1)


def variance_over_seeds(cells: Sequence[Runs], weights: Sequence[float]) -> VarianceOfMean:
    """Return the variance that seeds give a weighted sum of cells' means.

    The variance of one run is pooled over the cells with several, and 0 if there are none.
    """
    degrees = sum(len(runs) - 1 for runs in cells)
    if not degrees:
        return VarianceOfMean(0.0, math.inf)
    scores = [[run.value for run in runs] for runs in cells if len(runs) > 1]
    pooled = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in scores) / degrees
    weighted = sum(weight**2 / len(runs) for runs, weight in zip(cells, weights, strict=True))
    return VarianceOfMean(pooled * weighted, degrees)
