"""Plots of first-token probabilities: a scorer's of answers, and an evolver's of its replies."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.scores import SetProbabilities
from pipelines.results.report.data.set_key import SetKey, answered_by
from pipelines.results.report.plots.canvas import Figure, evolver_legend
from pipelines.results.report.plots.histograms import histogram_panel, seed_data_legend
from pipelines.results.report.plots.panels import MAX_PANELS
from pipelines.results.report.tables.summary import sort_by_size


def probabilities(data: ReportData) -> Figure | None:
    """Draw a panel for each teacher, round, seeds and scorer, with a line per evolver; None without scores."""
    note = "Per cent of the first tokens of answers by their probability under the scorer."
    return _figure("Probability of the first tokens", note, data.probabilities, data)


def confidence(data: ReportData) -> Figure | None:
    """Draw a panel for each round and seeds, with a line per evolver (2412.11231, Fig. 5); None without data."""
    note = "Per cent of the first tokens of the evolvers' replies by the probability that the evolver gave them."
    return _figure("Confidence of the evolvers", note, data.confidences, data)


def _figure(title: str, note: str, known: Sequence[SetProbabilities], data: ReportData) -> Figure | None:
    if not known:
        return None
    evolvers = sort_by_size((each.set.evolver for each in known), data.model_sizes)
    evolved = [each for each in known if each.set.evolver]
    places = [(each.set._replace(evolver=""), each.scorer) for each in evolved or known]
    panels = [
        histogram_panel(title, _panel_title(place, scorer), "probability", _sets_at(place, scorer, known), evolvers)
        for place, scorer in dict.fromkeys(places)
    ]
    if len(panels) > MAX_PANELS:
        note += f" The first {MAX_PANELS} of {len(panels)} panels."
    legend = evolver_legend(evolvers, marked=False) + seed_data_legend(known)
    return Figure(title, note, tuple(panels[:MAX_PANELS]), legend)


def _sets_at(place: SetKey, scorer: str, known: Sequence[SetProbabilities]) -> list[SetProbabilities]:
    """Return the sets of this place by all evolvers, and the seeds from which they began, under one scorer."""
    return [
        each
        for each in known
        if each.scorer == scorer
        and each.set._replace(evolver="", round=place.round) == place
        and each.set.round in (0, place.round)
    ]


def _panel_title(place: SetKey, scorer: str) -> str:
    answered = f"{place.teacher} {answered_by(place.decoding, place.answer_seed)}".strip()
    return ", ".join(filter(None, (place.seeds, f"round {place.round}", answered, scorer and f"under {scorer}")))
