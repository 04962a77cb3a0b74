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
from pipelines.results.report.data.scores import SetDistribution, SetJudgement, SetProbabilities

Cell = str | int | float | bool | None
ScoreFact = SetJudgement | SetDistribution | SetProbabilities
SetFact = SetScore | SetReward | SetCar | SetDiversity | SetOverlap | SetSelection | ScoreFact
Fact = Result | SetFact | RoundOutcome | ReplyOutcome | MethodResult | AnswerFlags | StepAccount
TRAINING_COLUMNS = ("label", "student", "evolver", "round", "teacher")
SPEED_COLUMNS = (*TRAINING_COLUMNS, "tokens_per_second", "mfu", "peak_flops", "peak", "together")


def csv_files(data: ReportData) -> dict[str, str]:
    """File name to content, one file per kind of fact."""
    return {
        "results.csv": _csv_text(_field_names(Result), map(_flatten, data.results)),
        "sets.csv": _csv_text(_field_names(SetScore), map(_flatten, data.sets)),
        "rounds.csv": _csv_text(_field_names(RoundOutcome), map(_flatten, data.rounds)),
        "replies.csv": _csv_text(_field_names(ReplyOutcome), map(_flatten, data.replies)),
        "methods.csv": _csv_text(_field_names(MethodResult), map(_flatten, data.methods)),
        "rewards.csv": _csv_text(_field_names(SetReward), map(_flatten, data.rewards)),
        "car.csv": _csv_text(_field_names(SetCar), map(_flatten, data.cars)),
        "answers.csv": _csv_text(_field_names(AnswerFlags), map(_flatten, data.flags)),
        "diversity.csv": _csv_text(_field_names(SetDiversity), map(_flatten, data.diversities)),
        "contamination.csv": _csv_text(_field_names(SetOverlap), map(_flatten, data.overlaps)),
        "selections.csv": _csv_text(_field_names(SetSelection), map(_flatten, data.selections)),
        "judgements.csv": _csv_text(_field_names(SetJudgement), map(_flatten, data.judgements)),
        "scores.csv": _csv_text(_field_names(SetDistribution), map(_flatten, data.distributions)),
        "probabilities.csv": _csv_text(_field_names(SetProbabilities), map(_flatten, data.probabilities)),
        "confidence.csv": _csv_text(_field_names(SetProbabilities), map(_flatten, data.confidences)),
        "steps.csv": _csv_text(_field_names(StepAccount), map(_flatten, data.steps)),
        "trainings.csv": _csv_text(
            SPEED_COLUMNS, ([getattr(curve, name) for name in SPEED_COLUMNS] for curve in data.losses)
        ),
        "losses.csv": _csv_text([*TRAINING_COLUMNS, "step", "loss"], _loss_points(data.losses)),
    }


def _loss_points(curves: Iterable[LossCurve]) -> Iterable[list[Cell]]:
    for curve in curves:
        for step, loss in zip(curve.steps, curve.losses, strict=True):
            yield [*(getattr(curve, name) for name in TRAINING_COLUMNS), step, loss]


def _field_names(kind: type[Fact]) -> list[str]:
    return [field.name for field in fields(kind)]


def _flatten(fact: Fact) -> list[Cell]:
    return [json.dumps(dict(value)) if isinstance(value, tuple) else value for value in astuple(fact)]


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
