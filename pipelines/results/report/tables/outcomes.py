"""Outcomes for display: one line per round of an evolver, and one line per model and role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipelines.results.report.data.report import ReplyOutcome, RoundOutcome


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """The names that identify the line, the number of rows, and their outcomes: (outcome, rows, percentage)."""

    place: tuple[str, ...]
    rows: int
    outcomes: tuple[tuple[str, int, float], ...]


T = TypeVar("T", RoundOutcome, ReplyOutcome)


def round_rows(found: Sequence[RoundOutcome]) -> list[OutcomeRow]:
    """Return one line per seeds, evolver and round, in the given order."""
    return _outcome_rows(found, lambda one: (one.seeds, one.evolver, str(one.round)))


def reply_rows(found: Sequence[ReplyOutcome]) -> list[OutcomeRow]:
    """Return one line per model and role, in the given order."""
    return _outcome_rows(found, lambda one: (one.model, one.role))


def _outcome_rows(found: Sequence[T], place: Callable[[T], tuple[str, ...]]) -> list[OutcomeRow]:
    groups: dict[tuple[str, ...], list[T]] = {}
    for one in found:
        groups.setdefault(place(one), []).append(one)
    return [
        OutcomeRow(name, sum(one.rows for one in group), tuple((one.outcome, one.rows, one.rate) for one in group))
        for name, group in groups.items()
    ]
