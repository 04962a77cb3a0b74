"""Draws layouts of the study file as bars, lines or stacked bars; published numbers are hollow or pale."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipelines.results.report.plots.canvas import (
    INK,
    MARKERS,
    MUTED,
    SERIES,
    Canvas,
    Figure,
    Legend,
    Panel,
    color,
    marker,
    variable,
)
from pipelines.results.report.plots.panels import MAX_PANELS
from pipelines.results.report.tables.layouts.pivot import LayoutView, PivotCell, PivotTable

MAX_LABEL_CHARS = 36  # of all names under a plot, side by side
BAR_POINTS = 15  # width of a bar
PALE = 0.35


def chart(view: LayoutView) -> Figure | None:
    """Draw a layout of kind 'bars', 'lines' or 'stack', with a panel each; None for other kinds and without numbers."""
    draw = {"bars": _bars, "lines": _lines, "stack": _stack}.get(view.layout.kind)
    shown = [panel for panel in view.panels if _has_numbers(panel)][:MAX_PANELS]
    if draw is None or not shown:
        return None
    names = _series(view)
    panels = tuple(draw(view, panel, names) for panel in shown)
    note = _NOTES[view.layout.kind] if view.has_published else ""
    left_out = len(view.panels) - len(shown)
    note += f" {left_out} of {len(view.panels)} panels have no numbers or no place here." if left_out else ""
    return Figure(view.layout.name, note.strip(), panels, _legend(view, names))


_NOTES = {
    "bars": "Bars are ours with their 95 % intervals, diamonds the published numbers.",
    "lines": "Solid lines are ours with their 95 % intervals, dashed ones the published numbers.",
    "stack": "The lower, pale bar of each pair is the published one.",
}


def _has_numbers(panel: PivotTable) -> bool:
    return any(cell and (cell.value, cell.published) != (None, None) for _, cells in panel.rows for cell in cells)


def _series(view: LayoutView) -> list[str]:
    return list(dict.fromkeys(" ".join(column) for panel in view.panels for column in panel.columns))


def _legend(view: LayoutView, names: Sequence[str]) -> tuple[Legend, ...]:
    style = "line" if view.layout.kind == "lines" else "bar"
    named = names if view.layout.columns else []
    marks = [MARKERS[marker(names, name)] if style == "line" else "" for name in named]
    entries = [Legend(name, variable(color(names, name)), style, mark) for name, mark in zip(named, marks, strict=True)]
    if view.has_published and view.layout.kind == "bars":
        entries.append(Legend("published", variable(INK), "dot", "◇"))
    if view.has_published and view.layout.kind == "lines":
        entries.append(Legend("published", variable(MUTED), "dash"))
    return tuple(entries)


def _bars(view: LayoutView, panel: PivotTable, names: Sequence[str]) -> Panel:
    groups = [
        [(names.index(" ".join(column)), cell) for column, cell in zip(panel.columns, cells, strict=True) if cell]
        for _, cells in panel.rows
    ]
    count = sum(map(len, groups))
    canvas = Canvas(max(232, 60 + BAR_POINTS * (count + len(groups))), 190)
    with canvas as (axes,):
        position, ticks = 0.0, list[float]()
        for group in groups:
            ticks.append(position + (len(group) - 1) / 2)
            for place, (index, cell) in enumerate(group):
                _bar(axes, position + place, cell, SERIES[index % len(SERIES)])
            position += len(group) + 0.7
        _name_rows(axes, panel, ticks)
    return canvas.panel(view.layout.name, panel.title, wide=count > 14)


def _bar(axes: Axes, position: float, cell: PivotCell, look: str) -> None:
    if cell.value is not None:
        axes.bar(position, cell.value, 0.85, color=look, alpha=0.5, edgecolor=look, linewidth=0.8)
    if cell.value is not None and cell.low is not None and cell.high is not None:
        error = [[cell.value - cell.low], [cell.high - cell.value]]
        axes.errorbar(position, cell.value, yerr=error, color=INK, elinewidth=0.9, capsize=2)
    if cell.published is not None:
        axes.plot(position, cell.published, "D", markerfacecolor="none", markeredgecolor=INK, markersize=4)


def _lines(view: LayoutView, panel: PivotTable, names: Sequence[str]) -> Panel:
    canvas = Canvas()
    with canvas as (axes,):
        for place, column in enumerate(panel.columns):
            cells = [(x, cells[place]) for x, (_, cells) in enumerate(panel.rows)]
            shift = (place - (len(panel.columns) - 1) / 2) * 0.06
            known = [(x + shift, cell) for x, cell in cells if cell]
            _line(axes, known, color(names, " ".join(column)), marker(names, " ".join(column)))
        _name_rows(axes, panel, [float(x) for x in range(len(panel.rows))])
    return canvas.panel(view.layout.name, panel.title)


def _line(axes: Axes, cells: Sequence[tuple[float, PivotCell]], look: str, shape: str) -> None:
    ours = [(x, cell.value, cell.low, cell.high) for x, cell in cells if cell.value is not None]
    theirs = [(x, cell.published) for x, cell in cells if cell.published is not None]
    if ours:
        places, values, lows, highs = zip(*ours, strict=True)
        below = [0 if low is None else value - low for value, low in zip(values, lows, strict=True)]
        above = [0 if high is None else high - value for value, high in zip(values, highs, strict=True)]
        axes.errorbar(places, values, yerr=[below, above], color=look, marker=shape, elinewidth=0.9, capsize=1.8)
    if theirs:
        places, values = zip(*theirs, strict=True)
        (line,) = axes.plot(places, values, color=look, marker=shape, markerfacecolor="none", markersize=3.5)
        line.set(linestyle=(0, (4, 3)), linewidth=1.1)


def _stack(view: LayoutView, panel: PivotTable, names: Sequence[str]) -> Panel:
    canvas = Canvas(520, 46 + 30 * len(panel.rows))
    looks = [color(names, " ".join(column)) for column in panel.columns]
    with canvas as (axes,):
        for place, (_, cells) in enumerate(panel.rows):
            _segments(axes, place - 0.2, [cell.value if cell else None for cell in cells], looks, 1.0)
            _segments(axes, place + 0.2, [cell.published if cell else None for cell in cells], looks, PALE)
        axes.set_yticks(range(len(panel.rows)), [" ".join(key) for key, _ in panel.rows])
        axes.set_ylim(len(panel.rows) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)
    return canvas.panel(view.layout.name, panel.title, wide=True)


def _segments(axes: Axes, position: float, values: Sequence[float | None], looks: Sequence[str], alpha: float) -> None:
    left = 0.0
    for value, look in zip(values, looks, strict=True):
        axes.barh(position, value or 0.0, 0.34, left, color=look, alpha=alpha)
        left += value or 0.0


def _name_rows(axes: Axes, panel: PivotTable, places: Sequence[float]) -> None:
    names = [" ".join(key) for key, _ in panel.rows]
    crowded = sum(map(len, names)) > MAX_LABEL_CHARS
    axes.set_xticks(places, names, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    axes.grid(axis="x", visible=False)
