"""Benchmark scores by round, by the size of the models that made the data, and by level of difficulty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Literal

from matplotlib.axes import Axes

from pipelines.report.data import ReportData, Result
from pipelines.report.format import parameters
from pipelines.report.plots.canvas import (
    INK,
    MUTED,
    Canvas,
    Figure,
    Legend,
    Panel,
    color,
    evolver_legend,
    marker,
    variable,
)
from pipelines.report.summary import UNTUNED, by_size, rows

MOST_PANELS = 16
_PARTS = ("benchmark", "student", "recipe", "seeds", "teacher", "decoding", "selection")


def by_round(data: ReportData) -> Figure | None:
    """A line per evolver over the rounds, a panel per student and teacher (and whatever else varies)."""
    evolvers = by_size((r.evolver for r in data.results), data.model_sizes)
    groups = _groups(data.results, _PARTS)
    if not groups:
        return None
    bases = {(row.result.student, row.result.benchmark): row.base for row in rows(data.results)}
    shown = list(groups.items())[:MOST_PANELS]
    panels = [
        _round_panel(_title(key, groups), found, bases[found[0].student, found[0].benchmark], evolvers, data.results)
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
        _percent_axis(axes, [r for r in everything if r.benchmark == found[0].benchmark])
        axes.set_xlabel("round")
        axes.set_xticks(sorted({result.round for result in found}))
        axes.grid(axis="x", visible=False)
    return canvas.panel("Score by round", title)


def _line(axes: Axes, line: Sequence[Result], shift: float, look: str, shape: str) -> None:
    values = [result.value for result in line]
    errors = [[r.value - r.low for r in line], [r.high - r.value for r in line]]
    places = [result.round + shift for result in line]
    axes.errorbar(places, values, yerr=errors, color=look, marker=shape, elinewidth=0.9, capsize=1.8)


def by_model(data: ReportData, role: Literal["evolver", "teacher"]) -> Figure | None:
    """Bars of the mean score per model in that role, smallest model first, with a dot for every cell."""
    evolved = [result for result in data.results if result.round > 0]
    of: Callable[[Result], str] = (lambda r: r.evolver) if role == "evolver" else (lambda r: r.teacher)
    models = by_size(map(of, evolved), data.model_sizes)
    if not models:
        return None
    students = by_size((result.student for result in data.results), data.model_sizes)
    sizes = dict(data.model_sizes)
    ticks = [f"{name} ({parameters(sizes[name])})" if name in sizes else name for name in models]
    panels: list[Panel] = []
    for benchmark in dict.fromkeys(result.benchmark for result in evolved):
        canvas = Canvas()
        with canvas as (axes,):
            for student in students:
                cells = [
                    [r.value for r in evolved if (of(r), r.student, r.benchmark) == (m, student, benchmark)]
                    for m in models
                ]
                _bars(axes, cells, students.index(student), len(students), color(students, student))
            axes.set_xticks(
                range(len(models)),
                ticks,
                rotation=0 if len(models) < 4 else 30,
                ha="center" if len(models) < 4 else "right",
            )
            axes.set_ylim(0, min(100.0, 1.1 * max(r.value for r in evolved if r.benchmark == benchmark) + 1))
            axes.set_ylabel("%")
            axes.grid(axis="x", visible=False)
        panels.append(canvas.panel(f"Score by {role} size", benchmark))
    note = "Mean over all cells of rounds 1 and later; every dot is a cell."
    legend = tuple(Legend(name, variable(color(students, name)), "bar") for name in students)
    return Figure(f"Score by {role} size", note, tuple(panels), legend)


def _bars(axes: Axes, cells: Sequence[Sequence[float]], index: int, count: int, look: str) -> None:
    width = 0.8 / count
    for place, values in enumerate(cells):
        if not values:
            continue
        middle = place + (index - (count - 1) / 2) * width
        axes.bar(middle, fmean(values), width * 0.9, color=look, alpha=0.45, edgecolor=look, linewidth=0.8)
        spread = [middle + (n / max(1, len(values) - 1) - 0.5) * width * 0.5 for n in range(len(values))]
        axes.plot(spread, values, ".", color=look, markersize=3.5)


def by_level(data: ReportData) -> Figure | None:
    """Lines over the levels of difficulty: untuned base, un-evolved seeds and each evolver's last round."""
    leveled = [result for result in data.results if result.by_level]
    groups = _groups(leveled, ("benchmark", "student", "recipe"))
    if not groups:
        return None
    evolvers = by_size((r.evolver for r in leveled), data.model_sizes)
    shown = list(groups.items())[:MOST_PANELS]
    panels = [_level_panel(_title(key, groups), found, leveled, evolvers) for key, found in shown]
    legend = (
        Legend("untuned base", "muted", "dash"),
        Legend("un-evolved seeds", "ink", mark="●"),
        *evolver_legend(evolvers),
    )
    note = "Level counts a task's constraints. Evolvers at their last round, mean over teachers and selections."
    return Figure("Score by level", note, tuple(panels), legend)


def _level_panel(title: str, found: list[Result], leveled: list[Result], evolvers: Sequence[str]) -> Panel:
    last = max(result.round for result in found)
    same = [r for r in leveled if (r.student, r.benchmark) == (found[0].student, found[0].benchmark)]
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


def _groups(results: Iterable[Result], parts: Sequence[str]) -> dict[tuple[tuple[str, str], ...], list[Result]]:
    groups: defaultdict[tuple[tuple[str, str], ...], list[Result]] = defaultdict(list)
    for result in results:
        if result.round != UNTUNED:
            groups[tuple((part, str(getattr(result, part))) for part in parts)].append(result)
    return dict(groups)


def _title(key: tuple[tuple[str, str], ...], groups: Iterable[tuple[tuple[str, str], ...]]) -> str:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for other in groups:
        for part, value in other:
            seen[part].add(value)
    words = {"student": "student {}", "teacher": "teacher {}"}
    return " · ".join(
        words.get(part, "{}").format(value) for part, value in key if part in words or len(seen[part]) > 1
    )


def _percent_axis(axes: Axes, results: Sequence[Result]) -> None:
    low, high = min(result.low for result in results), max(result.high for result in results)
    margin = max(2.0, (high - low) * 0.06)
    axes.set_ylim(max(-1.0, low - margin), min(101.0, high + margin))
    axes.set_ylabel("%")
