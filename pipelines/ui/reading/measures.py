"""The numbers of data sets' rows: which there are, and from which step's column they come."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.study.spec.pairs.selection import METRICS
from pipelines.ui.reading.reader import StudyState

OWN = {  # numbers of kinds of rows that no metric names
    "respond": (("tokens_out", "Tokens of the answer"), ("tokens_in", "Tokens of the request")),
    "choose": (("tokens_out", "Tokens of the answer"),),
    "check": (("tokens_out", "Tokens of the answer"), ("judged", "Judge's score")),
}


class Measure(NamedTuple):
    """A numeric column of the rows of a kind of step."""

    kind: str
    column: str
    label: str


class Series(NamedTuple):
    """One data set's step that has a measure. `set` is the set's place in the graph."""

    set: int
    label: str
    step: str


def list_measures(state: StudyState) -> list[Measure]:
    """Return the measures that finished steps of the study's data sets have."""
    kinds = {state.graph.kinds[key] for one in state.graph.record.sets for key in one.steps if key in state.finished}
    named = [
        Measure(spec.needs[0], spec.column, spec.label or name.replace("_", " "))
        for name, spec in METRICS.items()
        if spec.column and spec.needs[0] in kinds
    ]
    return named + [
        Measure(kind, column, label) for kind, known in OWN.items() if kind in kinds for column, label in known
    ]


def list_series(state: StudyState, kind: str) -> list[Series]:
    """Return the finished steps of a kind by data set."""
    found: list[Series] = []
    for place, one in enumerate(state.graph.record.sets):
        keys = [key for key in one.steps if state.graph.kinds.get(key) == kind]
        for key in keys:
            if key in state.finished:
                model = f" ({state.graph.nodes[key].model})" if len(keys) > 1 else ""
                found.append(Series(place, set_label(state, place) + model, key))
    return found


def set_label(state: StudyState, place: int) -> str:
    """Return the name of a data set for display."""
    one = state.graph.record.sets[place]
    source = f"{one.evolver} r{one.round}" if one.evolver else one.seeds
    several = len({each.seeds for each in state.graph.record.sets}) > 1
    seeds = f"{one.seeds}: " if several and one.evolver else ""
    decodings = len({each.decoding for each in state.graph.record.sets}) > 1
    decoding = f" {one.decoding}" if decodings else ""
    seed = "" if one.answer_seed is None else f" seed {one.answer_seed}"
    return f"{seeds}{source} → {one.teacher}{decoding}{seed}"
