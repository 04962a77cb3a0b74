"""How sure models are of the first tokens of what is written: a scorer of answers, an evolver of its own replies."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.scores import SetProbabilities
from pipelines.results.report.plots.canvas import Figure, evolver_legend
from pipelines.results.report.plots.histograms import histogram_panel, seed_data_legend
from pipelines.results.report.plots.panels import MAX_PANELS
from pipelines.results.report.tables.summary import sort_by_size


def probabilities(data: ReportData) -> Figure | None:
    """A panel for each teacher, round and seeds, a line per evolver; None where no scores are."""
    note = "Per cent of the first tokens of answers by their probability under the scorer."
    return _figure("Probability of the first tokens", note, data.probabilities, data)


def confidence(data: ReportData) -> Figure | None:
    """A panel for each round and seeds, a line per evolver (2412.11231, Fig. 5); None where they were not kept."""
    note = "Per cent of the first tokens of the evolvers' own replies by the probability that the evolver gave them."
    return _figure("Confidence of the evolvers", note, data.confidences, data)


def _figure(title: str, note: str, known: Sequence[SetProbabilities], data: ReportData) -> Figure | None:
    if not known:
        return None
    evolvers = sort_by_size((each.evolver for each in known), data.model_sizes)
    places = dict.fromkeys((each.seeds, each.round, each.teacher, each.decoding) for each in known if each.evolver)
    panels = [
        histogram_panel(
            title, _panel_title(seeds, number, f"{teacher} {decoding}".strip()), "probability", found, evolvers
        )
        for seeds, number, teacher, decoding in places or {(e.seeds, 0, e.teacher, e.decoding): None for e in known}
        if (found := [e for e in known if (e.seeds, e.teacher, e.decoding) == (seeds, teacher, decoding)])
        and (found := [e for e in found if e.round in (0, number)])
    ]
    if len(panels) > MAX_PANELS:
        note += f" The first {MAX_PANELS} of {len(panels)} panels."
    legend = evolver_legend(evolvers, marked=False) + seed_data_legend(known)
    return Figure(title, note, tuple(panels[:MAX_PANELS]), legend)


def _panel_title(seeds: str, number: int, answered: str) -> str:
    return ", ".join(filter(None, (seeds, f"round {number}", answered)))
