"""Plots of benchmark scores by round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.plots.canvas import (
    INK,
    MUTED,
    Canvas,
    Figure,
    Legend,
    Panel,
    color,
    evolver_legend,
    marker,
)
from pipelines.results.report.plots.panels import MAX_PANELS, group_results, panel_title
from pipelines.results.report.tables.summary import gain_rows, sort_by_size

_PARTS = ("measure", "student", "recipe", "seeds", "teacher", "decoding", "selection")


def by_round(data: ReportData) -> Figure | None:
    """Draw a line per evolver over the rounds, in a panel per student, teacher and other factor that varies."""
    evolvers = sort_by_size((r.evolver for r in data.results), data.model_sizes)
    groups = group_results(data.results, _PARTS)
    if not groups:
        return None
    bases = {(row.result.student, row.result.measure): row.base for row in gain_rows(data.results)}
    shown = list(groups.items())[:MAX_PANELS]
    panels = [
        _round_panel(panel_title(key, groups), found, bases[found[0].student, found[0].measure], evolvers, data.results)
        for key, found in shown
    ]
    note = "Bars are 95 % bootstrap intervals; round 0 is training on the un-evolved seeds."
    if len(groups) > len(shown):
        note += f" The first {len(shown)} of {len(groups)} panels; the table above has every cell."
    base = (Legend("untuned base", "muted", "dash"),) if any(bases.values()) else ()
    return Figure("Score by round", note, tuple(panels), evolver_legend(evolvers) + base)


def _round_panel(
    title: str, found: list[Result], base: Result | None, evolvers: Sequence[str], everything: Iterable[Result]
) -> Panel:
    canvas = Canvas()
    with canvas as (axes,):
        if base is not None:
            axes.axhline(base.value, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.axhspan(base.low, base.high, color=MUTED, alpha=0.12, linewidth=0)
        seeds_only = [result for result in found if not result.evolver]
        present = [name for name in evolvers if any(result.evolver == name for result in found)]
        for index, name in enumerate(present):
            line = sorted([*seeds_only, *(r for r in found if r.evolver == name)], key=lambda result: result.round)
            _line(axes, line, (index - (len(present) - 1) / 2) * 0.07, color(evolvers, name), marker(evolvers, name))
        if not present:
            _line(axes, seeds_only, 0, INK, "o")
        _percent_axis(axes, [r for r in everything if r.measure == found[0].measure])
        axes.set_xlabel("round")
        axes.set_xticks(sorted({result.round for result in found}))
        axes.grid(axis="x", visible=False)
    return canvas.panel("Score by round", title)


def _line(axes: Axes, line: Sequence[Result], shift: float, look: str, shape: str) -> None:
    values = [result.value for result in line]
    errors = [[r.value - r.low for r in line], [r.high - r.value for r in line]]
    places = [result.round + shift for result in line]
    axes.errorbar(places, values, yerr=errors, color=look, marker=shape, elinewidth=0.9, capsize=1.8)


def _percent_axis(axes: Axes, results: Sequence[Result]) -> None:
    low, high = min(result.low for result in results), max(result.high for result in results)
    margin = max(2.0, (high - low) * 0.06)
    axes.set_ylim(max(-1.0, low - margin), min(101.0, high + margin))
    axes.set_ylabel("%")
