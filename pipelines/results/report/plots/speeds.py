"""Plots of training speed."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.report import LossCurve, ReportData
from pipelines.results.report.plots.canvas import SERIES, Canvas, Figure, Panel
from pipelines.results.report.tables.summary import sort_by_size


def speeds(data: ReportData) -> Figure | None:
    """Draw tokens per second and MFU, with a dot per training; None if no training reported its speed."""
    curves = [curve for curve in data.losses if curve.tokens_per_second]
    if not curves:
        return None
    students = sort_by_size((curve.student for curve in curves), data.model_sizes)
    panels = (
        _panel("input tokens per second", students, curves, [curve.tokens_per_second for curve in curves]),
        _panel("MFU, %", students, curves, [100 * curve.mfu for curve in curves]),
    )
    peaks = "; ".join(_peak_note(curves, source) for source in dict.fromkeys(curve.peak for curve in curves))
    shared_note = max(curve.together for curve in curves)
    note = f"A dot per training. MFU: 6 operations per parameter and token over a peak ({peaks})."
    if shared_note > 1:
        note += f" Up to {shared_note} LoRA students shared a process: each dot is then its process's speed."
    return Figure("Training speed", note, panels)


def _peak_note(curves: Sequence[LossCurve], source: str) -> str:
    values = [curve.peak_flops / 1e12 for curve in curves if curve.peak == source]
    lowest, highest = f"{min(values):.2g}", f"{max(values):.2g}"
    return f"{lowest if lowest == highest else f'{lowest} to {highest}'} TFLOP/s, {source}"


def _panel(title: str, students: Sequence[str], curves: Sequence[LossCurve], values: Sequence[float]) -> Panel:
    canvas = Canvas(height=70 + 22 * len(students))
    with canvas as (axes,):
        axes.plot(values, [students.index(curve.student) for curve in curves], "o", color=SERIES[0], alpha=0.6)
        axes.set_yticks(range(len(students)), list(students))
        axes.set_ylim(len(students) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel(title)
    return canvas.panel("Training speed", title)
