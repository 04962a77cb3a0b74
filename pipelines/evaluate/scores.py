"""A benchmark's numbers, from its rows: what reports and tables show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipelines.evaluate.judged import alpaca_eval, arena_hard, followbench
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import MULTI_SUBJECT_BENCHMARKS, Benchmark

ACCURACY = "accuracy"
IFEVAL_METRICS = {
    "Pr(S)": "prompt_level_strict_acc",
    "In(S)": "inst_level_strict_acc",
    "Pr(L)": "prompt_level_loose_acc",
    "In(L)": "inst_level_loose_acc",
}
# measures by kind in the order in which they are shown, the first one for short
_METRICS_OF_KIND = {
    "ifeval": tuple(IFEVAL_METRICS.values()),
    "math": ("math_verify", "exact_match", ACCURACY),
    "mt_bench": ("score", "turn 1", "turn 2"),
    "compare": ("win", "tie", "lose"),
    "alpaca_eval": ("win rate",),
    "arena_hard": ("score",),
    "followbench": ("HSR", "SSR"),
}
_METRIC_LABELS = {measure: name for name, measure in IFEVAL_METRICS.items()}
UNPARSED = "unparsed"


def metric_names(bench: Benchmark, rows: Sequence[AnswerRow]) -> list[str]:
    """The measures whose weighted means over rows are a benchmark's numbers, the one that stands for it first."""
    present = list(dict.fromkeys(name for row in rows for name in row.measures))
    known = (*_METRICS_OF_KIND[bench.kind], UNPARSED) if bench.kind in _METRICS_OF_KIND else tuple(present)
    return [name for name in known if name in present]


def metric_label(measure: str) -> str:
    """What a measure is called in tables."""
    return _METRIC_LABELS.get(measure, measure)


def task_points(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> dict[str, tuple[float, float]]:
    """By item: what it earned and of how many points; the number is 100 times the ratio of their sums.

    Ratings of MT-Bench are tenths, so that 100 times is right for them, too. Subjects of MMLU and C-Eval and levels of
    FollowBench count alike, however many items they have.
    """
    scale = 0.1 if bench.kind == "mt_bench" and measure != UNPARSED else 1.0
    having = [row for row in rows if measure in row.measures]
    counts = Counter(_group_of(bench, row) for row in having)
    earned: dict[str, tuple[float, float]] = {}
    for row in having:
        position = row.measures.index(measure)
        weight = row.weights[position] / counts[_group_of(bench, row)]
        earned[row.item] = (scale * row.values[position] * weight, weight)
    return earned


def _group_of(bench: Benchmark, row: AnswerRow) -> str | int:
    """Rows of one group have their mean; groups count alike."""
    if bench.kind in MULTI_SUBJECT_BENCHMARKS:
        return row.task
    return row.level if bench.kind == "followbench" else 0


def scores(bench: Benchmark, rows: Sequence[AnswerRow], folder: Path | None = None) -> dict[str, float]:
    """All numbers of a benchmark by name, the one that stands for it first; per cent, ratings as 1 to 10.

    `folder` is the study file's: with it AlpacaEval's length-controlled win rate is computed, if the study names the
    data for it. Empty without rows.
    """
    found = {metric_label(one): _metric_mean(bench, rows, one) for one in metric_names(bench, rows)}
    unparsed = found.pop(UNPARSED, None)
    if bench.kind == "followbench" and rows:
        found = _level_scores(rows)
    if bench.kind == "arena_hard" and rows:
        found["low"], found["high"] = arena_hard.confidence_interval(rows)
    if bench.judge and bench.judge.length_control and folder and rows:
        gamed = alpaca_eval.read_length_baseline(folder / bench.judge.length_control)
        found["length-controlled"] = alpaca_eval.length_controlled_win_rate(rows, gamed)
    return found if unparsed is None else found | {UNPARSED: unparsed}


def _metric_mean(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> float:
    """The weighted mean of a measure in per cent; of ratings as they are given."""
    scale = 10.0 if bench.kind == "mt_bench" and measure != UNPARSED else 100.0
    return scale * _ratio(task_points(bench, rows, measure))


def headline_score(bench: Benchmark, rows: Sequence[AnswerRow]) -> float:
    """The number that stands for a benchmark; NaN without rows."""
    return next(iter(scores(bench, rows).values()), math.nan)


def _level_scores(rows: Sequence[AnswerRow]) -> dict[str, float]:
    """HSR and SSR of FollowBench: plain means of the levels and those of its own code, and HSR by level."""
    hard, soft = followbench.mean_by_level(rows, "HSR"), followbench.mean_by_level(rows, "SSR")
    return {
        "HSR": followbench.mean_of_levels(hard),
        "HSR weighted": followbench.weighted_mean_of_levels(hard),
        "SSR": followbench.mean_of_levels(soft),
        "SSR weighted": followbench.weighted_mean_of_levels(soft),
        **{f"HSR {level}": value for level, value in hard.items()},
    }


def _ratio(earned: dict[str, tuple[float, float]]) -> float:
    whole = math.fsum(weight for _, weight in earned.values())
    return math.fsum(got for got, _ in earned.values()) / whole if whole else math.nan
