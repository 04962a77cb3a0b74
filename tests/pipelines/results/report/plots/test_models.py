"""Bars of scores by model have the standard deviation of their mean over seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes

from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.plots.models import by_model
from tests.pipelines.results.report import sample

FIRST = next(result for result in sample.sample().results if result.round == 1)


def run(round: int, value: float, answer_seed: int | None, seed: int | None) -> Result:
    return replace(FIRST, round=round, value=value, answer_seed=answer_seed, seed=seed)


def drawn(monkeypatch: pytest.MonkeyPatch, *runs: Result) -> list[tuple[float, float]]:
    """The heights of the bars that have a line, with the half of its length."""
    found: list[tuple[float, float]] = []
    monkeypatch.setattr(Axes, "errorbar", lambda self, x, y, yerr, **look: found.append((y, yerr)))  # pyright: ignore
    means = tuple(replace(each, answer_seed=None, seed=None, value=50.0) for each in runs[:1])
    data: ReportData = replace(sample.sample(), results=means, runs=runs)
    figure = by_model(data, "evolver")
    assert figure and "standard deviation" in figure.note
    return found


def test_the_line_is_the_spread_of_the_mean_over_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    opposed = (run(1, 40, None, 0), run(1, 60, None, 1), run(2, 60, None, 0), run(2, 40, None, 1))
    assert drawn(monkeypatch, *opposed) == []
    alike = (run(1, 40, None, 0), run(1, 60, None, 1), run(2, 41, None, 0), run(2, 61, None, 1))
    assert drawn(monkeypatch, *alike) == [(50.0, pytest.approx(200**0.5))]


def test_a_cell_without_one_of_the_seeds_counts_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = (run(1, 40, 3, 0), run(1, 60, 4, 0), run(2, 50, None, 0))
    assert drawn(monkeypatch, *mixed) == [(50.0, pytest.approx(50**0.5))]


def test_one_seed_has_no_line() -> None:
    figure = by_model(sample.sample(), "teacher")
    assert figure and "standard deviation" not in figure.note
