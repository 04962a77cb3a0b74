"""Plot of the difficulty of instructions as rated by a judge."""

from __future__ import annotations

from matplotlib.axes import Axes

import prompts
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.scores import SetJudgement
from pipelines.results.report.plots.canvas import GRID, SERIES, Canvas, Figure, Legend, variable

MAX_SETS = 40


def difficulty(data: ReportData) -> Figure | None:
    """Draw a stacked bar for each set of instructions (2412.11231, Fig. 2); None without judged difficulty levels."""
    judged = [each for each in data.judgements if each.metric == "difficulty" and each.rows]
    if not judged:
        return None
    shown = judged[:MAX_SETS]
    canvas = Canvas(900, 42 + 16 * len(shown))
    with canvas as (axes,):
        for place, each in enumerate(shown):
            _bar(axes, place, each)
        axes.set_yticks(range(len(shown)), [each.set.label for each in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("%")
        axes.grid(axis="y", visible=False)
    note = "Per cent of all judged instructions. The rest of a bar is replies that name no level."
    if len(judged) > len(shown):
        note += f" The first {len(shown)} of {len(judged)} sets; the table has all."
    legend = [
        Legend(label, variable(look), "bar") for label, look in zip(prompts.DIFFICULTY_LABELS, SERIES, strict=False)
    ]
    panel = canvas.panel("Difficulty levels per set", wide=True)
    return Figure("Difficulty by judge rating", note, (panel,), (*legend, Legend("no level", variable(GRID), "bar")))


def _bar(axes: Axes, position: int, each: SetJudgement) -> None:
    left = 0.0
    for (_, share), look in zip(each.shares, SERIES, strict=False):
        axes.barh(position, share, 0.7, left, color=look)
        left += share
    axes.barh(position, 100 - left, 0.7, left, color=GRID)
