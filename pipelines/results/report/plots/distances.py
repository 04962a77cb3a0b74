"""How far instructions are from their nearest neighbours, by round and evolver."""

from __future__ import annotations

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.plots.canvas import Figure, Panel, evolver_legend
from pipelines.results.report.plots.histograms import histogram_panel, seed_data_legend
from pipelines.results.report.plots.panels import MAX_PANELS
from pipelines.results.report.tables.summary import sort_by_size

TITLE = "Distance to the nearest instruction"


def distances(data: ReportData) -> Figure | None:
    """Draw a panel per seeds and round, with a line per evolver and one for the seeds; None without embeddings."""
    known = [each for each in data.diversities if each.bins]
    if not known:
        return None
    evolvers = sort_by_size((each.set.evolver for each in known), data.model_sizes)
    rounds = dict.fromkeys((each.set.seeds, each.set.round) for each in known if each.set.evolver or len(known) == 1)
    panels: list[Panel] = []
    for seeds, number in list(rounds or {(each.set.seeds, each.set.round): None for each in known})[:MAX_PANELS]:
        shown = [each for each in known if each.set.seeds == seeds and each.set.round in (0, number)]
        panels.append(histogram_panel(TITLE, f"{seeds}, round {number}", "minimum neighbour distance", shown, evolvers))
    note = "Per cent of instructions by the squared distance to the nearest other one; far to the right is diverse."
    return Figure(TITLE, note, tuple(panels), evolver_legend(evolvers, marked=False) + seed_data_legend(known))
