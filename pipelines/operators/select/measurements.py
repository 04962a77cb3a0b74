"""Reads the rows that measure a data set's pairs from the store, and the values of the metrics that are reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from pipelines.operators.select.metrics import PairMeasurements, metric_value
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import ResponseRow, Row
from pipelines.store.probes import first_rows
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import InstructionDataset, ScoreStep
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.selection import METRICS, MetricSpec, reported_metrics


def read_measurements(
    store: Store, answers: Step, measures: Mapping[str, Step], seeds: int | None = None
) -> tuple[list[ResponseRow], dict[str, dict[str, Row]]]:
    """Return the rows of a data set's answers, and those that measure them, by kind and answer id.

    `measures` are the steps by the kind of their rows that is wanted: scores are also lengths. With `seeds`, only rows
    of the first `seeds` seeds are read, which the steps may have made in a probe.
    """
    pairs = [row for row in _rows(store, answers, seeds) if isinstance(row, ResponseRow)]
    instruction_of = {pair.id: pair.parent_id for pair in pairs}
    if answers.kind in ("check", "choose"):  # their parent is an answer or a candidates row
        parents = {row.id: row.parent_id for row in _rows(store, answers.inputs[0], seeds)}
        instruction_of = {row: parents[answer] for row, answer in instruction_of.items()}
    measured: dict[str, dict[str, Row]] = {}
    for kind, step in measures.items():
        found = {row.parent_id: row for row in _rows(store, step, seeds)}
        of_answers = step.inputs[0].key == answers.key
        parent_of = {row: row for row in instruction_of} if of_answers else instruction_of
        measured[kind] = {row: found[parent] for row, parent in parent_of.items() if parent in found}
    return pairs, measured


class ReportedMetric(NamedTuple):
    """A metric as the report and `predict` show it. `scorer` is empty if the study has one scorer, or none is needed.

    `base` is the model of a scorer that is each student's own base, if the study has several bases.
    """

    metric: str
    scorer: str = ""
    base: str = ""

    @property
    def name(self) -> str:
        """The metric's name, with the scorer's after it."""
        return f"{self.metric} {self.scorer}".strip()

    @property
    def column(self) -> str:
        """The name in tables that do not distinguish students: also with the base model."""
        return f"{self.name} {self.base}".strip()

    @property
    def label(self) -> str:
        """The heading of its column in the report."""
        return " ".join(filter(None, (METRICS[self.metric].label, self.scorer, self.base)))

    @property
    def about(self) -> str:
        """A sentence that explains the metric to readers of the report; it may be empty."""
        return METRICS[self.metric].about


def reported(metric: str, pairs: InstructionDataset, scored: ScoreStep | None) -> ReportedMetric:
    """Return a metric of a data set as it is shown. `scored` are the scores that it is taken from, if any."""
    if scored is None:
        return ReportedMetric(metric)
    several = len({each.scorer for each in pairs.score_steps}) > 1
    own_bases = sum(each.scorer == scored.scorer for each in pairs.score_steps) > 1
    return ReportedMetric(metric, scored.scorer if several or own_bases else "", scored.model if own_bases else "")


def list_reported(sets: Sequence[InstructionDataset]) -> tuple[ReportedMetric, ...]:
    """Return all metrics that are shown for some of the data sets, in the report's order."""
    shown = {
        reported(name, pairs, scored): None
        for name, spec in reported_metrics().items()
        for pairs in sets
        if _is_measured(pairs, spec)
        for scored in _scores_for(pairs, spec)
    }
    return tuple(shown)


def _is_measured(pairs: InstructionDataset, spec: MetricSpec) -> bool:
    """Return whether the study asks for all that a metric needs of a data set."""
    return {*spec.needs} <= {step.kind for step in pairs.steps}


def _scores_for(pairs: InstructionDataset, spec: MetricSpec) -> Sequence[ScoreStep | None]:
    """Return the scores that a metric is taken from, one after another; a single None if it needs no scores."""
    if "score" not in spec.needs:
        return (None,)
    return [each for each in pairs.score_steps if not spec.option or each.has_option(spec.option)]


def reported_values(
    store: Store, pairs: InstructionDataset, done: Set[str], seed: int
) -> dict[ReportedMetric, list[float]]:
    """Return the finite values of each reported metric of a data set, in the order of the rows.

    A metric is left out if a step that it needs is not among the `done` ones, or if it needs rewards and the study has
    several reward models. A metric with a column has a value for every row of its step, a computed one for every pair
    that has all the rows that it needs. `seed` is the study's.
    """
    found: dict[ReportedMetric, list[float]] = {}
    for scored in (None, *pairs.score_steps):
        names = [name for name, spec in reported_metrics().items() if scored in _scores_for(pairs, spec)]
        values = _finite_values(store, pairs, _measuring_steps(pairs, scored, done), names, seed)
        found |= {reported(name, pairs, scored): known for name, known in values.items()}
    return {metric: found[metric] for metric in list_reported([pairs]) if metric in found}


def _finite_values(
    store: Store, pairs: InstructionDataset, steps: Mapping[str, Step], wanted: Sequence[str], seed: int
) -> dict[str, list[float]]:
    names = [name for name in wanted if steps.keys() >= {*METRICS[name].needs}]
    values = _column_values(store, steps, [name for name in names if METRICS[name].column])
    values |= _computed_values(store, pairs, steps, [name for name in names if not METRICS[name].column], seed)
    return {name: [value for value in values[name] if math.isfinite(value)] for name in names}


def _measuring_steps(pairs: InstructionDataset, scored: ScoreStep | None, done: Set[str]) -> dict[str, Step]:
    rewards = (step for _, step in pairs.rewards if len(pairs.rewards) == 1)
    steps = [*pairs.measures, *rewards, *([scored.step] if scored else [])]
    return {step.kind: step for step in steps if step.key in done}


def _column_values(store: Store, steps: Mapping[str, Step], names: Sequence[str]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for kind in dict.fromkeys(METRICS[name].needs[0] for name in names):
        columns = {name: METRICS[name].column for name in names if METRICS[name].needs[0] == kind}
        table = store.rows(kind, steps[kind].key, columns=[*columns.values()])
        values |= {name: table.column(column).to_pylist() for name, column in columns.items()}
    return values


def _computed_values(
    store: Store, pairs: InstructionDataset, steps: Mapping[str, Step], names: Sequence[str], seed: int
) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {name: [] for name in names}
    needed = {kind: steps[kind] for name in names for kind in METRICS[name].needs}
    answers, measured = read_measurements(store, pairs.responses, needed) if names else ([], {})
    for pair in answers:
        rows = {kind: found[pair.id] for kind, found in measured.items() if pair.id in found}
        for name in names:
            if rows.keys() >= {*METRICS[name].needs}:
                values[name].append(metric_value(name, PairMeasurements(pair, rows, seed)))
    return values


def _rows(store: Store, step: Step, seeds: int | None) -> list[Row]:
    table = store.rows(step.kind, step.key) if seeds is None else first_rows(store, step.kind, step.key, seeds)
    return [*from_table(ROW_TYPES[step.kind], table)]
