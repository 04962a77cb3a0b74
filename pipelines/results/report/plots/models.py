"""Plots of benchmark scores by the size of the models that generated the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Literal

from matplotlib.axes import Axes

from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.plots.canvas import INK, Canvas, Figure, Legend, Panel, color, variable
from pipelines.results.report.tables.number_format import parameters
from pipelines.results.report.tables.summary import sort_by_size

MAX_LABEL_CHARS = 40  # of all names under a plot, side by side


def by_model(data: ReportData, role: Literal["evolver", "teacher"]) -> Figure | None:
    """Draw bars of the mean score per model in that role, smallest model first, with a dot for every cell."""
    evolved = [result for result in data.results if result.round > 0]
    runs = [result for result in data.runs if result.round > 0]
    of: Callable[[Result], str] = (lambda r: r.evolver) if role == "evolver" else (lambda r: r.teacher)
    models = sort_by_size(map(of, evolved), data.model_sizes)
    if not models:
        return None
    students = sort_by_size((result.student for result in data.results), data.model_sizes)
    sizes = dict(data.model_sizes)
    ticks = [f"{name} ({parameters(sizes[name])})" if name in sizes else name for name in models]
    crowded = sum(map(len, ticks)) > MAX_LABEL_CHARS
    panels: list[Panel] = []
    for benchmark in dict.fromkeys(result.measure for result in evolved):
        canvas = Canvas()
        with canvas as (axes,):
            for student in students:
                cells = [
                    [r.value for r in evolved if (of(r), r.student, r.measure) == (m, student, benchmark)]
                    for m in models
                ]
                spreads = [
                    _spread([r for r in runs if (of(r), r.student, r.measure) == (m, student, benchmark)])
                    for m in models
                ]
                _bars(axes, cells, spreads, students.index(student), len(students), color(students, student))
            axes.set_xticks(
                range(len(models)),
                ticks,
                rotation=30 if crowded else 0,
                ha="right" if crowded else "center",
            )
            axes.set_ylim(0, min(100.0, 1.1 * max(r.value for r in evolved if r.measure == benchmark) + 1))
            axes.set_ylabel("%")
            axes.grid(axis="x", visible=False)
        panels.append(canvas.panel(f"Score by {role} size", benchmark))
    note = "Mean over all cells of rounds 1 and later; every dot is a cell."
    if runs:
        note += " The line on a bar is the standard deviation of this mean over seeds, in both directions."
    legend = tuple(Legend(name, variable(color(students, name)), "bar") for name in students)
    return Figure(f"Score by {role} size", note, tuple(panels), legend)


def _spread(runs: Sequence[Result]) -> float:
    """Return the standard deviation over seeds of the mean over the cells of these runs; 0 if there is one seed.

    A cell that has no seed of its answers, or of its training, counts for all of them.
    """
    answer_seeds = {run.answer_seed for run in runs if run.answer_seed is not None} or {None}
    seeds = {run.seed for run in runs if run.seed is not None} or {None}
    if len(answer_seeds) * len(seeds) < 2:
        return 0.0
    cells: defaultdict[Result, list[Result]] = defaultdict(list)
    for run in runs:
        cells[run.without_numbers()].append(run)
    return stdev(
        fmean(_mean_at(cell, answer_seed, seed) for cell in cells.values())
        for answer_seed in answer_seeds
        for seed in seeds
    )


def _mean_at(cell: Sequence[Result], answer_seed: int | None, seed: int | None) -> float:
    """Return the value of a cell at these seeds, or its mean if it has no such run."""
    found = [run.value for run in cell if run.answer_seed in (None, answer_seed) and run.seed in (None, seed)]
    return fmean(found or [run.value for run in cell])


def _bars(
    axes: Axes, cells: Sequence[Sequence[float]], spreads: Sequence[float], index: int, count: int, look: str
) -> None:
    width = 0.8 / count
    for place, (values, deviation) in enumerate(zip(cells, spreads, strict=True)):
        if not values:
            continue
        middle = place + (index - (count - 1) / 2) * width
        axes.bar(middle, fmean(values), width * 0.9, color=look, alpha=0.45, edgecolor=look, linewidth=0.8)
        if deviation:
            axes.errorbar(middle, fmean(values), deviation, color=INK, elinewidth=1, capsize=3)
        spread = [middle + (n / max(1, len(values) - 1) - 0.5) * width * 0.5 for n in range(len(values))]
        axes.plot(spread, values, ".", color=look, markersize=3.5)
