"""A benchmark's numbers, from its rows: what reports and tables show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipelines.evaluate.registry import IFEVAL_LABELS, scoring_of
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import Benchmark

UNPARSED = "unparsed"


def metric_names(bench: Benchmark, rows: Sequence[AnswerRow]) -> list[str]:
    """The measures whose weighted means over rows are a benchmark's numbers, the one that stands for it first."""
    present = list(dict.fromkeys(name for row in rows for name in row.measures))
    measures = scoring_of(bench).measures
    known = (*measures, UNPARSED) if measures else tuple(present)
    return [name for name in known if name in present]


def metric_label(measure: str) -> str:
    """What a measure is called in tables."""
    return IFEVAL_LABELS.get(measure, measure)


def task_points(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> dict[str, tuple[float, float]]:
    """By item: what it earned and of how many points; the number is 100 times the ratio of their sums.

    Ratings are tenths, so that 100 times is right for them, too. Groups of items (subjects, levels) count alike,
    however many items they have.
    """
    scoring = scoring_of(bench)
    scale = 0.1 if scoring.ratings and measure != UNPARSED else 1.0
    having = [row for row in rows if measure in row.measures]
    counts = Counter(scoring.group(row) for row in having)
    earned: dict[str, tuple[float, float]] = {}
    for row in having:
        position = row.measures.index(measure)
        weight = row.weights[position] / counts[scoring.group(row)]
        earned[row.item] = (scale * row.values[position] * weight, weight)
    return earned


def scores(bench: Benchmark, rows: Sequence[AnswerRow], folder: Path | None = None) -> dict[str, float]:
    """All numbers of a benchmark by name, the one that stands for it first; per cent, ratings as 1 to 10.

    `folder` is the study file's: with it AlpacaEval's length-controlled win rate is computed, if the study names the
    data for it. Empty without rows.
    """
    found = {metric_label(one): _metric_mean(bench, rows, one) for one in metric_names(bench, rows)}
    unparsed = found.pop(UNPARSED, None)
    summary = scoring_of(bench).summary
    if summary and rows:
        found = summary(found, rows, bench.judge, folder)
    return found if unparsed is None else found | {UNPARSED: unparsed}


def _metric_mean(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> float:
    """The weighted mean of a measure in per cent; of ratings as they are given."""
    scale = 10.0 if scoring_of(bench).ratings and measure != UNPARSED else 100.0
    return scale * _ratio(task_points(bench, rows, measure))


def headline_score(bench: Benchmark, rows: Sequence[AnswerRow]) -> float:
    """The number that stands for a benchmark; NaN without rows."""
    return next(iter(scores(bench, rows).values()), math.nan)


def _ratio(earned: dict[str, tuple[float, float]]) -> float:
    whole = math.fsum(weight for _, weight in earned.values())
    return math.fsum(got for got, _ in earned.values()) / whole if whole else math.nan
