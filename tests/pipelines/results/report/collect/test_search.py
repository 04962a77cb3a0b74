"""The report and the status of a search: what was trained, what was skipped at which risk, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.cli.views.status import show_status
from pipelines.planning.plan import make_plan
from pipelines.results.report.collect.search import collect_search
from pipelines.results.report.page import render_html, render_markdown
from pipelines.store.store import Store
from tests.pipelines.execution.search.test_decisions import RUNGS, Killed, Table, run, searched
from tests.pipelines.results.report.sample import sample


def test_the_report_shows_trained_and_skipped_cells_with_risks_priors_and_decisions(tmp_path: Path) -> None:
    grid, store = searched(), Store(str(tmp_path))
    assert collect_search(grid.study, grid.grid, store) is None
    made = run(grid, store, Table(fails=frozenset({"one"})))
    found = collect_search(grid.study, grid.grid, store)
    assert found and found.finished and len(found.cells) == 12
    skipped = found.of_state("skipped")
    assert skipped and all(cell.score is None and cell.risk is not None and cell.risk <= 0.1 for cell in skipped)
    assert all(cell.score is not None for cell in found.of_state("trained"))
    assert {group.inseparable for group in found.groups} == {("two", "five")}
    assert [step.reason for step in found.decisions] == [one.reason for one in made]
    assert all(prior.rho is not None and prior.rho > 0.9 for prior in found.priors)

    data = replace(sample(), search=found)
    for text in (render_html(data), render_markdown(data)):
        assert f"and\n  {len(skipped)} skipped" in text or f"and {len(skipped)} skipped" in text
        assert "two, five" in text and "The search has stopped" in text
    assert "cells were skipped by the" in render_html(data)
    assert "<h2>Search</h2>" not in render_html(sample())


def test_cells_that_the_last_decision_asks_for_are_in_training(tmp_path: Path) -> None:
    grid, store = searched(), Store(str(tmp_path))
    with pytest.raises(Killed):
        run(grid, store, Table(killed_at=3))
    found = collect_search(grid.study, grid.grid, store)
    assert found and not found.finished
    asked = {(cell.student, cell.arm) for cell in found.of_state("training")}
    assert asked == {("small full", "two"), ("small full", "five")} and len(found.of_state("skipped")) == 10


def test_the_status_shows_a_search(tmp_path: Path) -> None:
    grid, store = searched(), Store(str(tmp_path))
    run(grid, store, Table())
    console = Console(record=True, width=160)
    found = collect_search(grid.study, grid.grid, store)
    show_status(console, store, "scripted", make_plan(grid.study, tmp_path, store), None, found)
    text = console.export_text()
    assert "its search has stopped" in text and "Search over teacher" in text
    assert "small full: best is two, not separated from five; risk of a better arm 0." in text


def test_partial_trainings_are_shown_with_their_correlation_and_what_they_cost(tmp_path: Path) -> None:
    grid, store = searched(**RUNGS), Store(str(tmp_path))
    run(grid, store, Table(misleading=frozenset({0.1})))
    found = collect_search(grid.study, grid.grid, store)
    assert found
    assert [(rung.percent, rung.state, rung.trained, rung.cells, rung.rho) for rung in found.rungs] == [
        ("10 %", "not trusted", 6, 6, -1.0),
        ("50 %", "trusted", 12, 6, 1.0),
    ]
    told = [text for step in found.decisions for text in step.rungs]
    assert [text.split(":")[0] for text in told] == ["10 % of the rows not trusted", "50 % of the rows trusted"]
    assert found.partial_cost == 0.1 * 6 + 0.5 * 12
    assert all(cell.partial[1] is not None for cell in found.cells)
    data = replace(sample(), search=found)
    for text in (render_html(data), render_markdown(data)):
        assert "They count as 6.6 full trainings" in text and "score on 50 %" in text
        assert "10 % of the rows not trusted: Spearman -1.00 over 6 cells, and 0.9 is needed" in text
    console = Console(record=True, width=160)
    show_status(console, store, "scripted", make_plan(grid.study, tmp_path, store), None, found)
    text = console.export_text()
    assert "Partial trainings on 10 % of the rows: 6 finished, which count as 0.6 full ones; not trusted" in text
    assert "on 50 %" in text


def test_partial_trainings_that_nobody_needed_are_not_measured(tmp_path: Path) -> None:
    grid, store = searched(**RUNGS | {"risk": 0.99}), Store(str(tmp_path))
    run(grid, store, Table())
    found = collect_search(grid.study, grid.grid, store)
    assert found and [(rung.state, rung.trained) for rung in found.rungs] == [("not measured", 0), ("not measured", 0)]
    assert "score on" not in render_html(replace(sample(), search=found))
