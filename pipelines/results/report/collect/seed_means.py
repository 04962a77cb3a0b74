"""Averages results over the seeds of answers and trainings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from pipelines.results.report.data.report import Result
from pipelines.results.report.data.seeds import Runs, mean_over_seeds
from pipelines.results.report.data.task_scores import LevelMean, TaskScores


def average_over_seeds(found: Mapping[Result, TaskScores]) -> dict[Result, Runs]:
    """Return one result for each cell, without seeds, with the tasks' points of its runs.

    `found` are the results of all runs, in the order of the grid.
    """
    groups: defaultdict[Result, list[Result]] = defaultdict(list)
    for result in found:
        groups[result.without_numbers()].append(result)
    scored = ((runs, tuple(found[run] for run in runs)) for runs in groups.values())
    return {_mean(runs, scores): scores for runs, scores in scored}


def _mean(runs: Sequence[Result], scores: Runs) -> Result:
    first = replace(runs[0], answer_seed=None, seed=None)
    if len(runs) == 1:
        return first
    mean = mean_over_seeds([run.value for run in runs], tuple(one for one in scores if one.possible))
    return replace(
        first,
        rows=round(fmean(run.rows for run in runs)),
        value=mean.value,
        low=mean.low,
        high=mean.high,
        by_level=_mean_levels(runs),
        runs=len(runs),
        spread=mean.spread,
    )


def _mean_levels(runs: Sequence[Result]) -> tuple[LevelMean, ...]:
    levels: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        for level, value in run.by_level:
            levels[level].append(value)
    return tuple(LevelMean(level, fmean(values)) for level, values in sorted(levels.items()))
