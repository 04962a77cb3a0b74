"""A benchmark's numbers, from its rows: what reports and tables show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipelines.evaluate.judged import alpaca_eval, arena_hard, followbench
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import SUBJECTS, Benchmark

ACCURACY = "accuracy"
IFEVAL = {
    "Pr(S)": "prompt_level_strict_acc",
    "In(S)": "inst_level_strict_acc",
    "Pr(L)": "prompt_level_loose_acc",
    "In(L)": "inst_level_loose_acc",
}
# measures by kind in the order in which they are shown, the first one for short
_OF = {
    "ifeval": tuple(IFEVAL.values()),
    "math": ("math_verify", "exact_match", ACCURACY),
    "mt_bench": ("score", "turn 1", "turn 2"),
    "compare": ("win", "tie", "lose"),
    "alpaca_eval": ("win rate",),
    "arena_hard": ("score",),
    "followbench": ("HSR", "SSR"),
}
_NAMES = {measure: name for name, measure in IFEVAL.items()}
UNPARSED = "unparsed"


def measures(bench: Benchmark, rows: Sequence[AnswerRow]) -> list[str]:
    """The measures whose weighted means over rows are a benchmark's numbers, the one that stands for it first."""
    found = list(dict.fromkeys(name for row in rows for name in row.measures))
    known = (*_OF[bench.kind], UNPARSED) if bench.kind in _OF else tuple(found)
    return [name for name in known if name in found]


def name_of(measure: str) -> str:
    """What a measure is called in tables."""
    return _NAMES.get(measure, measure)


def points(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> dict[str, tuple[float, float]]:
    """By item: what it earned and of how many points; the number is 100 times the ratio of their sums.

    Ratings of MT-Bench are tenths, so that 100 times is right for them, too. Subjects of MMLU and C-Eval and levels of
    FollowBench count alike, however many items they have.
    """
    scale = 0.1 if bench.kind == "mt_bench" and measure != UNPARSED else 1.0
    having = [row for row in rows if measure in row.measures]
    counts = Counter(_group(bench, row) for row in having)
    found: dict[str, tuple[float, float]] = {}
    for row in having:
        place = row.measures.index(measure)
        weight = row.weights[place] / counts[_group(bench, row)]
        found[row.item] = (scale * row.values[place] * weight, weight)
    return found


def _group(bench: Benchmark, row: AnswerRow) -> str | int:
    """Rows of one group have their mean; groups count alike."""
    if bench.kind in SUBJECTS:
        return row.task
    return row.level if bench.kind == "followbench" else 0


def scores(bench: Benchmark, rows: Sequence[AnswerRow], folder: Path | None = None) -> dict[str, float]:
    """All numbers of a benchmark by name, the one that stands for it first; per cent, ratings as 1 to 10.

    `folder` is the study file's: with it AlpacaEval's length-controlled win rate is computed, if the study names the
    data for it. Empty without rows.
    """
    found = {name_of(one): _number(bench, rows, one) for one in measures(bench, rows)}
    unparsed = found.pop(UNPARSED, None)
    if bench.kind == "followbench" and rows:
        found = _by_levels(rows)
    if bench.kind == "arena_hard" and rows:
        found["low"], found["high"] = arena_hard.interval(rows)
    if bench.judge and bench.judge.length_control and folder and rows:
        gamed = alpaca_eval.read_gamed(folder / bench.judge.length_control)
        found["length-controlled"] = alpaca_eval.length_controlled(rows, gamed)
    return found if unparsed is None else found | {UNPARSED: unparsed}


def _number(bench: Benchmark, rows: Sequence[AnswerRow], measure: str) -> float:
    """The weighted mean of a measure in per cent; of ratings as they are given."""
    scale = 10.0 if bench.kind == "mt_bench" and measure != UNPARSED else 100.0
    return scale * _ratio(points(bench, rows, measure))


def headline(bench: Benchmark, rows: Sequence[AnswerRow]) -> float:
    """The number that stands for a benchmark; NaN without rows."""
    return next(iter(scores(bench, rows).values()), math.nan)


def _by_levels(rows: Sequence[AnswerRow]) -> dict[str, float]:
    """HSR and SSR of FollowBench: plain means of the levels and those of its own code, and HSR by level."""
    hard, soft = followbench.by_level(rows, "HSR"), followbench.by_level(rows, "SSR")
    return {
        "HSR": followbench.plain(hard),
        "HSR weighted": followbench.weighted(hard),
        "SSR": followbench.plain(soft),
        "SSR weighted": followbench.weighted(soft),
        **{f"HSR {level}": value for level, value in hard.items()},
    }


def _ratio(earned: dict[str, tuple[float, float]]) -> float:
    whole = math.fsum(weight for _, weight in earned.values())
    return math.fsum(got for got, _ in earned.values()) / whole if whole else math.nan
