"""The report's numbers as CSV: one file per class of facts. Missing values are empty, nested values are JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from pipelines.results.report.data.instructions import SetDiversity, SetOverlap, SetSelection
from pipelines.results.report.data.report import (
    LossCurve,
    MethodResult,
    ReplyOutcome,
    ReportData,
    Result,
    RoundOutcome,
    SetScore,
    StepAccount,
)
from pipelines.results.report.data.rewards import AnswerFlags, SetCar, SetReward
from pipelines.results.report.data.scores import SetDistribution, SetJudgement, SetProbabilities
from pipelines.results.report.data.set_key import IN_TABLES_ONLY, InstructionKey, SetKey
from pipelines.results.report.data.verdicts import ClaimVerdict

Cell = str | int | float | bool | None
ScoreFact = SetJudgement | SetDistribution | SetProbabilities
SetFact = SetScore | SetReward | SetCar | SetDiversity | SetOverlap | SetSelection | ScoreFact
Fact = Result | SetFact | RoundOutcome | ReplyOutcome | MethodResult | AnswerFlags | StepAccount | ClaimVerdict
TRAINING_COLUMNS = ("label", "student", "evolver", "round", "teacher")
SPEED_COLUMNS = (*TRAINING_COLUMNS, "tokens_per_second", "mfu", "peak_flops", "peak", "together")


CLAIMS_FILE = "claims.csv"


def csv_files(data: ReportData, claims: Sequence[ClaimVerdict] = ()) -> dict[str, str]:
    """Return the content of each CSV file by file name, one file per class of facts."""
    return {
        "results.csv": _fact_table(Result, data.runs or data.results),
        CLAIMS_FILE: _fact_table(ClaimVerdict, claims),
        **({"means.csv": _fact_table(Result, data.results)} if data.runs else {}),
        "sets.csv": _fact_table(SetScore, data.sets, [metric.column for metric in data.metrics]),
        "rounds.csv": _fact_table(RoundOutcome, data.rounds),
        "replies.csv": _fact_table(ReplyOutcome, data.replies),
        "methods.csv": _fact_table(MethodResult, data.methods),
        "rewards.csv": _fact_table(SetReward, data.rewards),
        "car.csv": _fact_table(SetCar, data.cars),
        "answers.csv": _fact_table(AnswerFlags, data.flags),
        "diversity.csv": _fact_table(SetDiversity, data.diversities),
        "contamination.csv": _fact_table(SetOverlap, data.overlaps),
        "selections.csv": _fact_table(SetSelection, data.selections),
        "judgements.csv": _fact_table(SetJudgement, data.judgements),
        "scores.csv": _fact_table(SetDistribution, data.distributions),
        "probabilities.csv": _fact_table(SetProbabilities, data.probabilities),
        "confidence.csv": _fact_table(SetProbabilities, data.confidences),
        "steps.csv": _fact_table(StepAccount, data.steps),
        "trainings.csv": _csv_text(
            SPEED_COLUMNS, ([getattr(curve, name) for name in SPEED_COLUMNS] for curve in data.losses)
        ),
        "losses.csv": _csv_text([*TRAINING_COLUMNS, "step", "loss"], _loss_points(data.losses)),
    }


def _loss_points(curves: Iterable[LossCurve]) -> Iterable[list[Cell]]:
    for curve in curves:
        for step, loss in zip(curve.steps, curve.losses, strict=True):
            yield [*(getattr(curve, name) for name in TRAINING_COLUMNS), step, loss]


def column_names(kind: type[Fact], metrics: Sequence[str] = ()) -> list[str]:
    """Return the columns of a class of facts: its fields, with one column per part of a set's key and per metric."""
    hints = get_type_hints(kind)
    return [column for name in _field_names(kind) for column in _field_columns(name, hints[name], metrics)]


def _field_names(kind: type[Fact]) -> list[str]:
    return [field.name for field in fields(kind) if not field.metadata.keys() & IN_TABLES_ONLY.keys()]


def _field_columns(name: str, kind: Any, metrics: Sequence[str]) -> Sequence[str]:
    if kind in (SetKey, InstructionKey):
        return kind._fields
    return metrics if name == "means" else [name]


def fact_rows(kind: type[Fact], facts: Iterable[Fact], metrics: Sequence[str] = ()) -> Iterator[list[Cell]]:
    """Yield the cells of facts of one class, in the order of `column_names`."""
    names = _field_names(kind)
    yield from ([cell for name in names for cell in _cells(name, getattr(fact, name), metrics)] for fact in facts)


def _fact_table(kind: type[Fact], facts: Iterable[Fact], metrics: Sequence[str] = ()) -> str:
    return _csv_text(column_names(kind, metrics), fact_rows(kind, facts, metrics))


def _cells(name: str, value: Any, metrics: Sequence[str]) -> Sequence[Cell]:
    if isinstance(value, SetKey | InstructionKey):
        return value
    if name == "means":
        return [value.get(metric) for metric in metrics]
    return [json.dumps(dict(value)) if isinstance(value, tuple) else value]


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
