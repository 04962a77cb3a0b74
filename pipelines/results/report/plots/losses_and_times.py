"""Plots of training losses and of times by kind of step."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.report import LossCurve, ReportData
from pipelines.results.report.plots.canvas import (
    INK,
    MUTED,
    SERIES,
    Canvas,
    Figure,
    Legend,
    Panel,
    color,
    evolver_legend,
)
from pipelines.results.report.tables.step_accounts import KindTotal, kind_totals
from pipelines.results.report.tables.summary import sort_by_size


def loss_curves(data: ReportData) -> Figure | None:
    """Draw a panel per student, with a thin line per training, coloured by evolver."""
    curves = [curve for curve in data.losses if curve.steps]
    if not curves:
        return None
    evolvers = sort_by_size((curve.evolver for curve in curves), data.model_sizes)
    students = sort_by_size((curve.student for curve in curves), data.model_sizes)
    panels = [_loss_panel(name, [c for c in curves if c.student == name], evolvers) for name in students]
    legend = evolver_legend(evolvers, marked=False)
    seeds = (Legend("un-evolved seeds", "ink"),) if any(not curve.evolver for curve in curves) else ()
    return Figure("Training loss", "One line per training.", tuple(panels), seeds + legend)


def _loss_panel(student: str, curves: Sequence[LossCurve], evolvers: Sequence[str]) -> Panel:
    canvas = Canvas()
    with canvas as (axes,):
        for curve in curves:
            look = color(evolvers, curve.evolver) if curve.evolver else INK
            shape = "." if len(curve.steps) == 1 else ""
            axes.plot(curve.steps, curve.losses, color=look, marker=shape, linewidth=1.1, alpha=0.75)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
    return canvas.panel("Training loss", f"student {student}")


def times(data: ReportData) -> Figure | None:
    """Draw planned and actual seconds per kind of step."""
    totals = kind_totals(data.steps)
    if not totals:
        return None
    unit, seconds = _time_unit(totals)
    canvas = Canvas(900, 44 + 26 * len(totals))
    with canvas as (axes,):
        for row, total in enumerate(totals):
            planned, ran, cached = total.planned / seconds, total.ran / seconds, total.cached / seconds
            axes.barh(row - 0.19, planned, 0.32, color="none", edgecolor=MUTED, linewidth=1)
            axes.barh(row + 0.19, ran, 0.32, color=SERIES[0])
            axes.barh(row + 0.19, cached, 0.32, left=ran, color=SERIES[0], alpha=0.35)
        axes.set_yticks(range(len(totals)), [total.kind for total in totals])
        axes.set_ylim(len(totals) - 0.4, -0.6)
        axes.set_xlabel(unit)
        axes.grid(axis="y", visible=False)
    legend = (
        Legend("planned", "muted", "hollow"),
        Legend("actual", "s0", "bar"),
        Legend("actual, in an earlier run", "s0", "ghost"),
    )
    note = "Summed over steps. Steps of different kinds run at the same time, so the sum can exceed the wall time."
    return Figure(
        "Planned and actual time", note, (canvas.panel("Planned and actual time per kind of step", wide=True),), legend
    )


def _time_unit(totals: Sequence[KindTotal]) -> tuple[str, int]:
    longest = max(max(total.planned, total.ran + total.cached) for total in totals)
    return ("seconds", 1) if longest < 300 else ("minutes", 60) if longest < 7200 else ("hours", 3600)
