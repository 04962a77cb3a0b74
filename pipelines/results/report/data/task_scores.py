"""Scores by task: confidence intervals of a score, and tests of the difference of two scores over shared tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipelines.bootstrap import draw_resamples, percentile_interval

SCORE_RESAMPLES = 2000
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class TaskScores:
    """A score as a ratio of sums over tasks: `earned[task]` of `possible[task]` points. An accuracy has 1 point a task.

    IFEval's instruction-level score has one point per instruction in the prompt.
    """

    earned: dict[str, float]
    possible: dict[str, float]

    def add(self, task: str, earned: float, possible: float) -> None:
        """Add `earned` of `possible` points to a task."""
        self.earned[task] = self.earned.get(task, 0.0) + earned
        self.possible[task] = self.possible.get(task, 0.0) + possible

    @property
    def value(self) -> float:
        """The score in percent; 0 without tasks."""
        whole = sum(self.possible.values())
        return 100.0 * sum(self.earned.values()) / whole if whole else 0.0

    def interval(self) -> tuple[float, float]:
        """Return the 95 % percentile-bootstrap interval over tasks, in percent (fixed seed); zeros without tasks."""
        if not self.possible:
            return 0.0, 0.0
        earned, possible = np.array(list(self.earned.values())), np.array(list(self.possible.values()))
        drawn = draw_resamples(len(possible), SCORE_RESAMPLES, seed=0)
        return percentile_interval(100.0 * earned[drawn].sum(axis=1) / possible[drawn].sum(axis=1))


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two scores in percentage points, its 95 % interval and its two-sided p-value."""

    points: float
    low: float
    high: float
    p: float


def difference(pairs: Sequence[tuple[TaskScores, TaskScores]]) -> Difference | None:
    """Return the mean difference of pairs of scores (first minus second) on shared tasks; None without such tasks.

    The interval is a bootstrap over tasks. The p-value is from a permutation test that swaps the two scores of a task
    (fixed seed). A task in several pairs counts as one observation, because its answers are not independent.
    """
    parts = [part for first, second in pairs if (part := _by_task(first, second))]
    tasks = sorted({task for part in parts for task in part})
    if not tasks:
        return None
    by_task = np.array([sum(part.get(task, 0.0) for part in parts) for task in tasks]) / len(parts)
    low, high = percentile_interval(by_task[draw_resamples(len(tasks), SCORE_RESAMPLES, seed=0)].sum(axis=1))
    return Difference(float(by_task.sum()), low, high, _p_value(by_task))


def _by_task(first: TaskScores, second: TaskScores) -> dict[str, float]:
    """Return the contribution of each shared task to the difference, in percentage points."""
    shared = [task for task in first.possible if task in second.possible]
    wholes = [sum(marks.possible[task] for task in shared) for marks in (first, second)]
    return {task: 100.0 * (first.earned[task] / wholes[0] - second.earned[task] / wholes[1]) for task in shared}


def _p_value(by_task: Array) -> float:
    if len(by_task) == 1 or not by_task.any():
        return 1.0
    from scipy import stats  # slow to import, and most users of this module need no test

    test = stats.permutation_test(
        (by_task,), np.sum, permutation_type="samples", vectorized=True, n_resamples=SCORE_RESAMPLES, rng=0
    )
    return float(test.pvalue)


class LevelMean(NamedTuple):
    """The mean over the tasks of one difficulty level."""

    level: int
    mean: float


def mean_by(groups: Sequence[int], values: Sequence[float]) -> tuple[LevelMean, ...]:
    """Return the mean of each level, in ascending order of levels; `groups` has the level of each value."""
    members = {group: [v for g, v in zip(groups, values, strict=True) if g == group] for group in sorted(set(groups))}
    return tuple(LevelMean(group, float(np.mean(found))) for group, found in members.items())
