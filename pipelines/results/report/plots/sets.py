"""IFD and IC-IFD of every scored set, aligned."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipelines.results.report.data.report import ReportData, SetScore
from pipelines.results.report.plots.canvas import MUTED, Canvas, Figure, Legend, color, evolver_legend, marker
from pipelines.results.report.tables.summary import sort_by_size

MAX_SETS = 60


def ifd(data: ReportData) -> Figure | None:
    """Two dot plots over the same sets, one row per set; None where nothing was scored."""
    scored = [each for each in data.sets if each.ifd is not None or each.ic_ifd is not None]
    if not scored:
        return None
    evolvers = sort_by_size((each.evolver for each in scored), data.model_sizes)
    teachers = sort_by_size((each.teacher for each in scored), data.model_sizes)
    scored.sort(key=lambda each: (teachers.index(each.teacher), _set_position(evolvers, each.evolver), each.round))
    shown = scored[:MAX_SETS]
    canvas = Canvas(900, 42 + 14 * len(shown), columns=2)
    with canvas as (left, right):
        _dots(left, "IFD", shown, [each.ifd for each in shown], evolvers)
        _dots(right, "IC-IFD", shown, [each.ic_ifd for each in shown], evolvers)
        left.set_yticks(range(len(shown)), [set_label(each) for each in shown])
        right.set_yticks(range(len(shown)), [""] * len(shown))
    note = "Means per set. IFD above 1 means that the instruction does not help to predict its answer."
    if len(scored) > len(shown):
        note += f" The first {len(shown)} of {len(scored)} sets; the table has all."
    legend = (Legend("un-evolved seeds", "muted", "dot", "●"), *evolver_legend(evolvers, "dot"))
    return Figure(
        "Instruction-following difficulty", note, (canvas.panel("IFD and IC-IFD per set", wide=True),), legend
    )


def set_label(each: SetScore) -> str:
    """What is answered by whom: `seeds → teacher` or `evolver r2 → teacher`."""
    source = f"{each.evolver} r{each.round}" if each.evolver else each.seeds
    return f"{source} → {each.teacher}"


def _set_position(evolvers: Sequence[str], name: str) -> int:
    return evolvers.index(name) if name in evolvers else -1


def _dots(
    axes: Axes, title: str, sets: Sequence[SetScore], values: Sequence[float | None], evolvers: Sequence[str]
) -> None:
    for row, (each, value) in enumerate(zip(sets, values, strict=True)):
        if value is not None:
            look = color(evolvers, each.evolver) if each.evolver else MUTED
            shape = marker(evolvers, each.evolver) if each.evolver else "o"
            axes.plot([value], [row], shape, color=look, markersize=5)
    axes.set_ylim(len(sets) - 0.4, -0.6)
    axes.set_title(title)
    axes.margins(x=0.08)
