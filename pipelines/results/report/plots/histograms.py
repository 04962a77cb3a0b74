"""How values between 0 and 1 are spread in several sets: a stepped line for each."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.instructions import SetDiversity
from pipelines.results.report.data.scores import SetProbabilities
from pipelines.results.report.plots.canvas import MUTED, Canvas, Legend, Panel, color

Spread = SetDiversity | SetProbabilities


def panel(title: str, place: str, unit: str, shown: Sequence[Spread], evolvers: Sequence[str]) -> Panel:
    """A line per set; `unit` says what is on the axis, `place` which sets these are."""
    canvas = Canvas()
    with canvas as (axes,):
        for each in shown:
            edges, shares = [edge for edge, _ in each.bins], [share for _, share in each.bins]
            look, line = (color(evolvers, each.evolver), "-") if each.evolver else (MUTED, "--")
            axes.step([*edges, 1.0], [*shares, shares[-1]], where="post", color=look, linestyle=line)
        axes.set_xlim(0, 1)
        axes.set_xlabel(unit)
        axes.set_ylabel("%")
    return canvas.panel(title, place)


def seeds_own(known: Sequence[Spread]) -> tuple[Legend, ...]:
    """What the dashed line means, where there is one."""
    return (Legend("un-evolved seeds", "muted", "dash"),) if any(not each.evolver for each in known) else ()
