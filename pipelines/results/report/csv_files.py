"""The report's numbers as CSV: one file per kind of fact, missing values empty, structures as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields

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
from pipelines.results.report.data.scores import SetJudgement, SetProbabilities, SetSpread

Cell = str | int | float | bool | None
OfScores = SetJudgement | SetSpread | SetProbabilities
OfSet = SetScore | SetReward | SetCar | SetDiversity | SetOverlap | SetSelection | OfScores
Fact = Result | OfSet | RoundOutcome | ReplyOutcome | MethodResult | AnswerFlags | StepAccount
TRAINED = ("label", "student", "evolver", "round", "teacher")
SPEEDS = (*TRAINED, "tokens_per_second", "mfu", "peak_flops", "peak", "together")


def csv_files(data: ReportData) -> dict[str, str]:
    """File name to content, one file per kind of fact."""
    return {
        "results.csv": _table(_names(Result), map(_flat, data.results)),
        "sets.csv": _table(_names(SetScore), map(_flat, data.sets)),
        "rounds.csv": _table(_names(RoundOutcome), map(_flat, data.rounds)),
        "replies.csv": _table(_names(ReplyOutcome), map(_flat, data.replies)),
        "methods.csv": _table(_names(MethodResult), map(_flat, data.methods)),
        "rewards.csv": _table(_names(SetReward), map(_flat, data.rewards)),
        "car.csv": _table(_names(SetCar), map(_flat, data.cars)),
        "answers.csv": _table(_names(AnswerFlags), map(_flat, data.flags)),
        "diversity.csv": _table(_names(SetDiversity), map(_flat, data.diversities)),
        "contamination.csv": _table(_names(SetOverlap), map(_flat, data.overlaps)),
        "selections.csv": _table(_names(SetSelection), map(_flat, data.selections)),
        "judgements.csv": _table(_names(SetJudgement), map(_flat, data.judgements)),
        "scores.csv": _table(_names(SetSpread), map(_flat, data.spreads)),
        "probabilities.csv": _table(_names(SetProbabilities), map(_flat, data.probabilities)),
        "confidence.csv": _table(_names(SetProbabilities), map(_flat, data.confidences)),
        "steps.csv": _table(_names(StepAccount), map(_flat, data.steps)),
        "trainings.csv": _table(SPEEDS, ([getattr(curve, name) for name in SPEEDS] for curve in data.losses)),
        "losses.csv": _table([*TRAINED, "step", "loss"], _points(data.losses)),
    }


def _points(curves: Iterable[LossCurve]) -> Iterable[list[Cell]]:
    for curve in curves:
        for step, loss in zip(curve.steps, curve.losses, strict=True):
            yield [*(getattr(curve, name) for name in TRAINED), step, loss]


def _names(kind: type[Fact]) -> list[str]:
    return [field.name for field in fields(kind)]


def _flat(fact: Fact) -> list[Cell]:
    return [json.dumps(dict(value)) if isinstance(value, tuple) else value for value in astuple(fact)]


def _table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
