"""Plots of benchmark scores by difficulty level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

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
from pipelines.results.report.tables.summary import UNTUNED, sort_by_size


def by_level(data: ReportData) -> Figure | None:
    """Draw lines over the difficulty levels: untuned base, un-evolved seeds and each evolver's last round."""
    leveled = [result for result in data.results if result.by_level]
    groups = group_results(leveled, ("measure", "student", "recipe"))
    if not groups:
        return None
    evolvers = sort_by_size((r.evolver for r in leveled), data.model_sizes)
    shown = list(groups.items())[:MAX_PANELS]
    panels = [_level_panel(panel_title(key, groups), found, leveled, evolvers) for key, found in shown]
    legend = (
        Legend("untuned base", "muted", "dash"),
        Legend("un-evolved seeds", "ink", mark="●"),
        *evolver_legend(evolvers),
    )
    note = "Level counts a task's constraints. Evolvers at their last round, mean over teachers and selections."
    return Figure("Score by level", note, tuple(panels), legend)


def _level_panel(title: str, found: list[Result], leveled: list[Result], evolvers: Sequence[str]) -> Panel:
    last = max(result.round for result in found)
    same = [r for r in leveled if (r.student, r.measure) == (found[0].student, found[0].measure)]
    canvas = Canvas()
    with canvas as (axes,):
        _levels(axes, [r for r in same if r.round == UNTUNED], MUTED, "", (0, (4, 3)))
        _levels(axes, [r for r in found if r.round == 0], INK, "o", "-")
        for name in evolvers:
            final = [r for r in found if r.evolver == name and r.round == last]
            _levels(axes, final, color(evolvers, name), marker(evolvers, name), "-")
        axes.set_xticks(sorted({level for result in same for level, _ in result.by_level}))
        axes.set_ylim(-2, 102)
        axes.set_ylabel("%")
        axes.set_xlabel("level")
        axes.grid(axis="x", visible=False)
    return canvas.panel("Score by level", title)


def _levels(
    axes: Axes, results: Sequence[Result], look: str, shape: str, dashes: str | tuple[int, tuple[int, int]]
) -> None:
    values: defaultdict[int, list[float]] = defaultdict(list)
    for result in results:
        for level, value in result.by_level:
            values[level].append(value)
    levels = sorted(values)
    axes.plot(levels, [fmean(values[level]) for level in levels], color=look, marker=shape, linestyle=dashes)
