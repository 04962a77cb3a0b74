"""Plots of IFD and IC-IFD of every scored data set, aligned."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipelines.results.report.data.report import ReportData, SetScore
from pipelines.results.report.data.set_key import SetKey
from pipelines.results.report.plots.canvas import MUTED, Canvas, Figure, Legend, color, evolver_legend, marker
from pipelines.results.report.tables.summary import sort_by_size

MAX_SETS = 60


def ifd(data: ReportData) -> Figure | None:
    """Draw the two dot plots of each scorer over the same data sets, one row per set; None without scores."""
    columns = {metric.column: metric.label for metric in data.metrics if metric.metric in ("ifd", "ic_ifd")}
    scored = [each for each in data.sets if each.means.keys() & columns.keys()]
    if not scored:
        return None
    evolvers = sort_by_size((each.set.evolver for each in scored), data.model_sizes)
    teachers = sort_by_size((each.set.teacher for each in scored), data.model_sizes)
    scored.sort(key=lambda each: _position(each.set, evolvers, teachers))
    shown = scored[:MAX_SETS]
    canvas = Canvas(450 * max(2, len(columns)), 42 + 14 * len(shown), columns=len(columns))
    with canvas as panels:
        for place, (axes, (column, label)) in enumerate(zip(panels, columns.items(), strict=True)):
            _dots(axes, column, label, shown, evolvers)
            axes.set_yticks(range(len(shown)), ["" if place else each.set.label for each in shown])
    note = "Means per set. IFD above 1 means that the instruction does not help to predict its answer."
    if len(scored) > len(shown):
        note += f" The first {len(shown)} of {len(scored)} sets; the table has all."
    legend = (Legend("un-evolved seeds", "muted", "dot", "●"), *evolver_legend(evolvers, "dot"))
    return Figure(
        "Instruction-following difficulty", note, (canvas.panel("IFD and IC-IFD per set", wide=True),), legend
    )


def _position(key: SetKey, evolvers: Sequence[str], teachers: Sequence[str]) -> tuple[int, int, int]:
    evolver = evolvers.index(key.evolver) if key.evolver in evolvers else -1
    return teachers.index(key.teacher), evolver, key.round


def _dots(axes: Axes, column: str, label: str, sets: Sequence[SetScore], evolvers: Sequence[str]) -> None:
    for row, each in enumerate(sets):
        if column in each.means:
            evolver = each.set.evolver
            look, shape = (color(evolvers, evolver), marker(evolvers, evolver)) if evolver else (MUTED, "o")
            axes.plot([each.means[column]], [row], shape, color=look, markersize=5)
    axes.set_ylim(len(sets) - 0.4, -0.6)
    axes.set_title(label)
    axes.margins(x=0.08)
