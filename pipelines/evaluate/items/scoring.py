"""Describes how a benchmark's scores are computed from the measures of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Judge

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
    """How a benchmark's scores are computed. By default they are the weighted means of all measures, in per cent.

    Attributes:
        measures: The measures that become scores, in the order of display; the first one is the headline score. If it
            is empty, all measures of the rows are used, in the rows' order.
        ratings: Whether the measures are ratings from 1 to 10. These are not converted to per cent.
        group: Returns the group of a row. All groups have the same weight in a mean, whatever their number of rows.
        summary: Computes all scores from the means, the rows (at least one), the judge, and the study file's folder,
            which is None if unknown.
    """

    measures: tuple[str, ...] = ()
    ratings: bool = False
    group: Callable[[AnswerRow], str | int] = all_rows
    summary: Summary | None = None
