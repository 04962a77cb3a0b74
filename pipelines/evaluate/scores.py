"""Computes the scores of a benchmark, which reports and tables show, from its rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipelines.evaluate.registry import IFEVAL_LABELS, scoring_of
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark

UNPARSED = "unparsed"


def metric_names(bench: Benchmark, rows: Sequence[AnswerRow]) -> list[str]:
    """Return the measures whose weighted means over rows are the benchmark's scores, the headline measure first."""
    present = list(dict.fromkeys(name for row in rows for name in row.measures))
    measures = scoring_of(bench).measures
    known = (*measures, UNPARSED) if measures else tuple(present)
    return [name for name in known if name in present]


def metric_label(measure: str) -> str:
    """Return the name of a measure in tables."""
    return IFEVAL_LABELS.get(measure, measure)


def task_points(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> dict[str, tuple[float, float]]:
    """Return, for each item, the points that it earned and the possible points.

    The score in per cent is 100 times the ratio of the sums. Ratings from 1 to 10 are divided by 10, so that they are
    fractions, too. Each group of items (subject, level) has the same total of possible points, whatever its size.
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
    """Return all scores of a benchmark by name, the headline score first; empty without rows.

    Scores are in per cent, ratings from 1 to 10. `folder` is the study file's folder; AlpacaEval's length-controlled
    win rate is computed only if it is given and the study names the data for it.
    """
    found = {metric_label(one): _metric_mean(bench, rows, one) for one in metric_names(bench, rows)}
    unparsed = found.pop(UNPARSED, None)
    summary = scoring_of(bench).summary
    if summary and rows:
        found = summary(found, rows, bench.judge, folder)
    return found if unparsed is None else found | {UNPARSED: unparsed}


def _metric_mean(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> float:
    """Return the weighted mean of a measure in per cent, or from 1 to 10 if it is a rating."""
    scale = 10.0 if scoring_of(bench).ratings and measure != UNPARSED else 100.0
    return scale * _ratio(task_points(bench, rows, measure))


def headline_score(bench: Benchmark, rows: Sequence[AnswerRow], folder: Path | None = None) -> float:
    """Return the headline score of a benchmark, or NaN without rows. `folder` is the study file's, as in `scores`."""
    return next(iter(scores(bench, rows, folder).values()), math.nan)


def _ratio(earned: dict[str, tuple[float, float]]) -> float:
    whole = math.fsum(weight for _, weight in earned.values())
    return math.fsum(got for got, _ in earned.values()) / whole if whole else math.nan
