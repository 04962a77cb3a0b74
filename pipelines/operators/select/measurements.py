"""Reads the rows that measure a data set's pairs from the store, and the values of the metrics that are reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from pipelines.operators.select.metrics import PairMeasurements, metric_value
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import ResponseRow, Row
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.selection import METRICS, reported_metrics


def read_measurements(store: Store, steps: Sequence[Step]) -> tuple[list[ResponseRow], dict[str, dict[str, Row]]]:
    """Return a data set's answers, and the rows that measure them, by kind of step and answer id.

    The first of `steps` generated the answers; the others measured them.
    """
    answers, *others = steps
    pairs = [row for row in _rows(store, answers) if isinstance(row, ResponseRow)]
    instruction_of = {pair.id: pair.parent_id for pair in pairs}
    if answers.kind in ("check", "choose"):  # their parent is an answer or a candidates row
        parents = {row.id: row.parent_id for row in _rows(store, answers.inputs[0])}
        instruction_of = {row: parents[answer] for row, answer in instruction_of.items()}
    measured: dict[str, dict[str, Row]] = {}
    for step in others:
        found = {row.parent_id: row for row in _rows(store, step)}
        of_answers = step.inputs[0].key == answers.key
        parent_of = {row: row for row in instruction_of} if of_answers else instruction_of
        measured[step.kind] = {row: found[parent] for row, parent in parent_of.items() if parent in found}
    return pairs, measured


def reported_values(store: Store, pairs: InstructionDataset, done: Set[str], seed: int) -> dict[str, list[float]]:
    """Return the finite values of each reported metric of a data set, in the order of the rows.

    A metric is left out if a step that it needs is not among the `done` ones, or if it needs rewards and the study has
    several reward models. A metric with a column has a value for every row of its step, a computed one for every pair
    that has all the rows that it needs. `seed` is the study's.
    """
    steps = _measuring_steps(pairs, done)
    names = [name for name, spec in reported_metrics().items() if steps.keys() >= {*spec.needs}]
    values = _column_values(store, steps, [name for name in names if METRICS[name].column])
    values |= _computed_values(store, pairs, steps, [name for name in names if not METRICS[name].column], seed)
    return {name: [value for value in values[name] if math.isfinite(value)] for name in names}


def _measuring_steps(pairs: InstructionDataset, done: Set[str]) -> dict[str, Step]:
    steps = [*pairs.measures, *(step for _, step in pairs.rewards if len(pairs.rewards) == 1)]
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
    needed = [steps[kind] for kind in dict.fromkeys(kind for name in names for kind in METRICS[name].needs)]
    answers, measured = read_measurements(store, [pairs.responses, *needed]) if names else ([], {})
    for pair in answers:
        rows = {kind: found[pair.id] for kind, found in measured.items() if pair.id in found}
        for name in names:
            if rows.keys() >= {*METRICS[name].needs}:
                values[name].append(metric_value(name, PairMeasurements(pair, rows, seed)))
    return values


def _rows(store: Store, step: Step) -> list[Row]:
    return [*from_table(ROW_TYPES[step.kind], store.rows(step.kind, step.key))]
