"""The test of a claim: the mean difference of pairs of numbers with its interval, and what follows from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from pipelines.results.report.data.comparisons import difference
from pipelines.results.report.data.seeds import Runs
from pipelines.results.report.data.verdicts import Verdict

LEVEL = 0.05
MIN_PAIRS = 3


@dataclass(frozen=True, slots=True)
class NumberPair:
    """Two numbers that a claim compares. Without `runs` on both sides, the number is not a mean over tasks.

    Pairs of the same `source` are metrics of the same answers or rows; None is a source of its own.
    """

    left: float
    right: float
    left_runs: Runs = ()
    right_runs: Runs = ()
    source: Hashable = None

    @property
    def has_tasks(self) -> bool:
        """Whether both numbers are means over tasks."""
        return bool(self.left_runs and self.right_runs)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The mean difference over `pairs`, with its 95 % interval and two-sided p-value, over tasks or over the pairs.

    `agree` counts the pairs whose left number is higher. The interval is None if there are too few pairs. Pairs of the
    same source count as one, with their mean difference, except for `pairs` and `agree`.
    """

    pairs: int
    agree: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    over: Literal["tasks", "pairs", ""] = ""

    def verdict(self, level: float = LEVEL) -> Verdict:
        """Return what the test says at a level of significance."""
        if self.p is None or self.difference is None or self.p >= level:
            return "not decided"
        return "supported" if self.difference > 0 else "contradicted"


def weigh(pairs: Sequence[NumberPair]) -> Evidence:
    """Return the evidence of some pairs. With tasks on all of them, it is over tasks, else over at least three pairs.

    A task in several pairs counts once (see `difference`). Over pairs, those of the same source count as one, and the
    interval and p are from Student's t, which takes them as a sample of all pairs that there might be.
    """
    if not pairs:
        return Evidence(0, 0)
    counts = len(pairs), sum(pair.left > pair.right for pair in pairs)
    if all(pair.has_tasks for pair in pairs):
        found = difference([(pair.left_runs, pair.right_runs) for pair in pairs])
        if found:
            return Evidence(*counts, found.points, found.low, found.high, found.p, "tasks")
    differences = _by_source(pairs)
    if len(differences) < MIN_PAIRS:
        return Evidence(*counts, fmean(differences))
    return Evidence(*counts, fmean(differences), *_students_t(differences), "pairs")


def _by_source(pairs: Iterable[NumberPair]) -> list[float]:
    """Return the mean difference of the pairs of each source."""
    found: defaultdict[Hashable, list[float]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        found[number if pair.source is None else ("source", pair.source)].append(pair.left - pair.right)
    return [fmean(differences) for differences in found.values()]


def _students_t(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return the 95 % interval of a mean and the p-value of the hypothesis that it is 0."""
    from scipy import stats  # slow to import, and most reports have no claims

    mean, error, degrees = fmean(differences), stdev(differences) / math.sqrt(len(differences)), len(differences) - 1
    if not error:
        return mean, mean, 0.0 if mean else 1.0
    margin = error * float(stats.t.ppf(1 - LEVEL / 2, degrees))
    return mean - margin, mean + margin, float(2 * stats.t.sf(abs(mean) / error, degrees))
