"""How far instructions are from their nearest neighbours, by round and evolver."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.data import ReportData
from pipelines.report.instruction_data import SetDiversity
from pipelines.report.plots.canvas import MUTED, Canvas, Figure, Legend, Panel, color, evolver_legend
from pipelines.report.plots.groups import MOST_PANELS
from pipelines.report.summary import by_size


def distances(data: ReportData) -> Figure | None:
    """A panel per seeds and round, a line per evolver beside the seeds' own; None where nothing was embedded."""
    known = [each for each in data.diversities if each.bins]
    if not known:
        return None
    evolvers = by_size((each.evolver for each in known), data.model_sizes)
    rounds = dict.fromkeys((each.seeds, each.round) for each in known if each.evolver or len(known) == 1)
    panels: list[Panel] = []
    for seeds, number in list(rounds or {(each.seeds, each.round): None for each in known})[:MOST_PANELS]:
        shown = [each for each in known if each.seeds == seeds and each.round in (0, number)]
        panels.append(_panel(f"{seeds}, round {number}", shown, evolvers))
    note = "Per cent of instructions by the squared distance to the nearest other one; far to the right is diverse."
    seeds_own = (Legend("un-evolved seeds", "muted", "dash"),) if any(not each.evolver for each in known) else ()
    return Figure(
        "Distance to the nearest instruction", note, tuple(panels), evolver_legend(evolvers, marked=False) + seeds_own
    )


def _panel(title: str, shown: Sequence[SetDiversity], evolvers: Sequence[str]) -> Panel:
    canvas = Canvas()
    with canvas as (axes,):
        for each in shown:
            places, shares = [edge for edge, _ in each.bins], [share for _, share in each.bins]
            look, line = (color(evolvers, each.evolver), "-") if each.evolver else (MUTED, "--")
            axes.step([*places, 1.0], [*shares, shares[-1]], where="post", color=look, linestyle=line)
        axes.set_xlim(0, 1)
        axes.set_xlabel("minimum neighbour distance")
        axes.set_ylabel("%")
    return canvas.panel("Distance to the nearest instruction", title)
