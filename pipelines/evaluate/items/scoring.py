"""How a benchmark's numbers are made of its rows' measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import Judge

Summary = Callable[[Mapping[str, float], Sequence[AnswerRow], Judge | None, Path | None], dict[str, float]]


def all_rows(row: AnswerRow) -> str:
    """Return the same group for every row."""
    del row
    return ""


def rows_of_task(row: AnswerRow) -> str:
    """Return the row's subject or category."""
    return row.task


@dataclass(frozen=True, slots=True)
class Scoring:
    """By default, a benchmark's numbers are the weighted means of all measures of its rows, in per cent.

    `measures` are those that count, in the order in which they are shown, the first one for short (empty: all of the
    rows, in their order). `ratings`: they are ratings from 1 to 10. Each `group` of rows has its mean, and groups
    count alike. `summary` is called with the means, the rows (at least one), the judge and the study file's folder if
    it is known; it returns all numbers.
    """

    measures: tuple[str, ...] = ()
    ratings: bool = False
    group: Callable[[AnswerRow], str | int] = all_rows
    summary: Summary | None = None
