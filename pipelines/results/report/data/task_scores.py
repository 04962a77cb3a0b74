"""Scores by task, and their confidence intervals over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.bootstrap import draw_resamples, percentile_interval, score_interval

SCORE_RESAMPLES = 2000


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

    def by_task(self, tasks: Sequence[str]) -> list[float]:
        """Return what each of some tasks contributes to the score over all of them, in percentage points."""
        whole = sum(self.possible[task] for task in tasks)
        return [100.0 * self.earned[task] / whole for task in tasks]

    def interval(self) -> tuple[float, float]:
        """Return the 95 % percentile-bootstrap interval over tasks, in percent (fixed seed); zeros without tasks.

        If all tasks have no points, or all have all points, it is Wilson's.
        """
        if not self.possible:
            return 0.0, 0.0
        earned, possible = np.array(list(self.earned.values())), np.array(list(self.possible.values()))
        drawn = draw_resamples(len(possible), SCORE_RESAMPLES, seed=0)
        found = percentile_interval(100.0 * earned[drawn].sum(axis=1) / possible[drawn].sum(axis=1))
        return score_interval(*found, len(possible))


class LevelMean(NamedTuple):
    """The mean over the tasks of one difficulty level."""

    level: int
    mean: float


def mean_by(groups: Sequence[int], values: Sequence[float]) -> tuple[LevelMean, ...]:
    """Return the mean of each level, in ascending order of levels; `groups` has the level of each value."""
    members = {group: [v for g, v in zip(groups, values, strict=True) if g == group] for group in sorted(set(groups))}
    return tuple(LevelMean(group, float(np.mean(found))) for group, found in members.items())
