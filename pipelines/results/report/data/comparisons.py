"""Tests of the difference of two scores over the tasks that they share, and over the seeds of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.bootstrap import draw_resamples, percentile_interval, score_interval
from pipelines.results.report.data.seeds import Runs, shared_tasks, variance_over_seeds, variance_over_tasks
from pipelines.results.report.data.task_scores import SCORE_RESAMPLES


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two scores in percentage points, its 95 % interval and its two-sided p-value."""

    points: float
    low: float
    high: float
    p: float


def difference(pairs: Sequence[tuple[Runs, Runs]]) -> Difference | None:
    """Return the mean difference of pairs of cells (first minus second) on shared tasks; None without such tasks.

    If each cell has one run, the interval is a bootstrap over tasks, and the p-value is from a permutation test that
    swaps the two scores of a task (fixed seed). With several runs of a cell, both are from Student's t, with the
    variance over tasks and that over seeds. A task in several pairs counts as one observation, because its answers are
    not independent.
    """
    parts = [part for first, second in pairs if (part := _by_task(first, second))]
    tasks = sorted({task for part in parts for task in part})
    if not tasks:
        return None
    by_task = np.array([sum(part.get(task, 0.0) for part in parts) for task in tasks]) / len(parts)
    points = float(by_task.sum())
    if len(tasks) > 1 and any(len(runs) > 1 for pair in pairs for runs in pair):
        spread = variance_over_tasks(by_task) + variance_over_seeds(*_weighted_cells(pairs))
        return Difference(points, points - spread.margin(), points + spread.margin(), spread.p_value(points))
    low, high = percentile_interval(by_task[draw_resamples(len(tasks), SCORE_RESAMPLES, seed=0)].sum(axis=1))
    return Difference(points, low, high, _p_value(by_task))


def mean_interval(cells: Sequence[Runs]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean score of several cells, as in `difference`; None without tasks."""
    parts = [_contributions(runs, tasks) for runs in cells if (tasks := shared_tasks(runs))]
    tasks = sorted({task for part in parts for task in part})
    if not tasks:
        return None
    by_task = np.array([sum(part.get(task, 0.0) for part in parts) for task in tasks]) / len(parts)
    if len(tasks) > 1 and any(len(runs) > 1 for runs in cells):
        spread = variance_over_tasks(by_task) + variance_over_seeds(cells, [1 / len(cells)] * len(cells))
        score, margin = float(by_task.sum()), spread.margin()
        return score_interval(score - margin, score + margin, len(tasks))
    found = percentile_interval(by_task[draw_resamples(len(tasks), SCORE_RESAMPLES, seed=0)].sum(axis=1))
    return score_interval(*found, len(tasks))


def _contributions(runs: Runs, tasks: Sequence[str]) -> dict[str, float]:
    means = np.mean([run.by_task(tasks) for run in runs], axis=0)
    return dict(zip(tasks, means.tolist(), strict=True))


def _weighted_cells(pairs: Sequence[tuple[Runs, Runs]]) -> tuple[list[Runs], list[float]]:
    """Return the distinct cells of pairs, each with its weight in the mean difference."""
    cells, weights = dict[int, Runs](), dict[int, float]()
    for pair in pairs:
        for runs, sign in zip(pair, (1, -1), strict=True):
            cells[id(runs)] = runs
            weights[id(runs)] = weights.get(id(runs), 0.0) + sign / len(pairs)
    return [*cells.values()], [*weights.values()]


def _by_task(first: Runs, second: Runs) -> dict[str, float]:
    """Return the contribution of each shared task to the difference of means over runs, in percentage points."""
    tasks = shared_tasks([*first, *second])
    if not tasks:
        return {}
    means = [_contributions(runs, tasks) for runs in (first, second)]
    return {task: means[0][task] - means[1][task] for task in tasks}


def _p_value(by_task: Any) -> float:
    if len(by_task) == 1 or not by_task.any():
        return 1.0
    from scipy import stats  # slow to import, and most users of this module need no test

    test = stats.permutation_test(
        (by_task,), np.sum, permutation_type="samples", vectorized=True, n_resamples=SCORE_RESAMPLES, rng=0
    )
    return float(test.pvalue)
