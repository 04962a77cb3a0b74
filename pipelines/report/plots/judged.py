"""How difficult instructions are by a judge's word, and how sure a scorer is of the first tokens of answers."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

import prompts
from pipelines.report.data import ReportData
from pipelines.report.plots.canvas import (
    GRID,
    MUTED,
    SERIES,
    Canvas,
    Figure,
    Legend,
    Panel,
    color,
    evolver_legend,
    variable,
)
from pipelines.report.plots.groups import MOST_PANELS
from pipelines.report.score_data import SetJudgement, SetProbabilities
from pipelines.report.summary import by_size

MOST_SETS = 40


def difficulty(data: ReportData) -> Figure | None:
    """A stacked bar for each set of instructions (2412.11231, Fig. 2); None where no level was asked for."""
    judged = [each for each in data.judgements if each.metric == "difficulty" and each.rows]
    if not judged:
        return None
    shown = judged[:MOST_SETS]
    canvas = Canvas(900, 42 + 16 * len(shown))
    with canvas as (axes,):
        for place, each in enumerate(shown):
            _bar(axes, place, each)
        axes.set_yticks(
            range(len(shown)), [" ".join(filter(None, (each.seeds, each.evolver, f"r{each.round}"))) for each in shown]
        )
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("%")
        axes.grid(axis="y", visible=False)
    note = "Per cent of all instructions that were judged; what is left of a bar is a reply that names no level."
    if len(judged) > len(shown):
        note += f" The first {len(shown)} of {len(judged)} sets; the table has all."
    legend = [
        Legend(label, variable(look), "bar") for label, look in zip(prompts.DIFFICULTY_LABELS, SERIES, strict=False)
    ]
    panel = canvas.panel("Difficulty levels per set", wide=True)
    return Figure("Difficulty by a judge's word", note, (panel,), (*legend, Legend("no level", variable(GRID), "bar")))


def _bar(axes: Axes, place: int, each: SetJudgement) -> None:
    left = 0.0
    for (_, share), look in zip(each.shares, SERIES, strict=False):
        axes.barh(place, share, 0.7, left, color=look)
        left += share
    axes.barh(place, 100 - left, 0.7, left, color=GRID)


def probabilities(data: ReportData) -> Figure | None:
    """A panel for each teacher, round and seeds, a line per evolver; None where no scores are."""
    known = data.probabilities
    if not known:
        return None
    evolvers = by_size((each.evolver for each in known), data.model_sizes)
    places = dict.fromkeys((each.seeds, each.round, each.teacher, each.decoding) for each in known if each.evolver)
    panels = [
        _panel(f"{seeds}, round {number}, {teacher} {decoding}", found, evolvers)
        for seeds, number, teacher, decoding in places or {(e.seeds, 0, e.teacher, e.decoding): None for e in known}
        if (found := [e for e in known if (e.seeds, e.teacher, e.decoding) == (seeds, teacher, decoding)])
        and (found := [e for e in found if e.round in (0, number)])
    ]
    note = "Per cent of the first tokens of answers by their probability under the scorer (2412.11231: confidence)."
    if len(panels) > MOST_PANELS:
        note += f" The first {MOST_PANELS} of {len(panels)} panels."
    seeds_own = (Legend("un-evolved seeds", "muted", "dash"),) if any(not each.evolver for each in known) else ()
    legend = evolver_legend(evolvers, marked=False) + seeds_own
    return Figure("Probability of the first tokens", note, tuple(panels[:MOST_PANELS]), legend)


def _panel(title: str, shown: Sequence[SetProbabilities], evolvers: Sequence[str]) -> Panel:
    canvas = Canvas()
    with canvas as (axes,):
        for each in shown:
            edges, shares = [edge for edge, _ in each.bins], [share for _, share in each.bins]
            look, line = (color(evolvers, each.evolver), "-") if each.evolver else (MUTED, "--")
            axes.step([*edges, 1.0], [*shares, shares[-1]], where="post", color=look, linestyle=line)
        axes.set_xlim(0, 1)
        axes.set_xlabel("probability")
        axes.set_ylabel("%")
    return canvas.panel("Probability of the first tokens", title)
