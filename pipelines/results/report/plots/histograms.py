"""Histograms of values between 0 and 1 in several sets, as a stepped line for each."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.instructions import SetDiversity
from pipelines.results.report.data.scores import SetProbabilities
from pipelines.results.report.plots.canvas import MUTED, Canvas, Legend, Panel, color

BinnedSet = SetDiversity | SetProbabilities


def histogram_panel(
    title: str, description: str, unit: str, sets: Sequence[BinnedSet], evolvers: Sequence[str]
) -> Panel:
    """Draw a line per set. `unit` is the label of the axis; `description` names the sets."""
    canvas = Canvas()
    with canvas as (axes,):
        for each in sets:
            edges, shares = [edge for edge, _ in each.bins], [share for _, share in each.bins]
            look, line = (color(evolvers, each.set.evolver), "-") if each.set.evolver else (MUTED, "--")
            axes.step([*edges, 1.0], [*shares, shares[-1]], where="post", color=look, linestyle=line)
        axes.set_xlim(0, 1)
        axes.set_xlabel(unit)
        axes.set_ylabel("%")
    return canvas.panel(title, description)


def seed_data_legend(known: Sequence[BinnedSet]) -> tuple[Legend, ...]:
    """Return the legend of the dashed line, if there is one."""
    return (Legend("un-evolved seeds", "muted", "dash"),) if any(not each.set.evolver for each in known) else ()
