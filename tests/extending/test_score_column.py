"""A metric from outside: a study selects by it, the report shows it, and predictions are made with it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean

import pytest

from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.metrics import rounded_value
from pipelines.results.predict.study import predict_from_metrics
from pipelines.results.report.collect.collect import collect_report
from pipelines.results.report.page import report_files
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow, PairRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.plugins.active import activate
from pipelines.study.spec.pairs.selection import METRICS, MetricSpec
from tests.support.examples import use_example
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

NAME = "loss_drop"


@pytest.fixture(autouse=True)
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The computed metric of the example, and one that is a column of the rows already."""
    use_example("loss_drop.py", tmp_path)
    monkeypatch.setitem(METRICS, "answer_tokens", MetricSpec("low", ("score",), "tokens_answer", "Answer tokens"))


def loss_drops(store: Store, grid: Grid) -> dict[str, dict[str, float]]:
    """The metric by the key of the scores of a set, and by answer."""
    found: dict[str, dict[str, float]] = {}
    for scores in (pairs.scores for pairs in grid.sets if pairs.scores):
        rows = from_table(ScoreRow, store.rows("score", scores.key))
        found[scores.key] = {row.parent_id: row.loss_answer - row.loss_conditional for row in rows}
    return found


def test_a_metric_from_outside_is_selected_by_reported_and_predicted_with(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(selection=[{"name": "drop", "by": NAME, "keep": 0.25}], **STUDENTS)
    grid = run_offline(study, store)
    drops = loss_drops(store, grid)

    for step in (step for step in grid.steps.values() if step.kind == "select"):
        run_selection(store, step)
        chosen = from_table(PairRow, store.rows("select", step.key))
        rounded = [rounded_value(NAME, drop) for drop in drops[step.inputs[1].key].values()]
        expected = sorted(rounded, reverse=True)[: len(chosen)]
        assert sorted((row.score for row in chosen), reverse=True) == expected

    data = collect_report(study, tmp_path, grid, store)
    files = report_files(data)
    rows = [*csv.DictReader(io.StringIO(files["sets.csv"]))]
    means = [fmean(drops[pairs.scores.key].values()) for pairs in grid.sets if pairs.scores]
    assert [float(row[NAME]) for row in rows] == means
    assert all(float(row["answer_tokens"]) > 0 for row in rows)
    assert [one.mean for one in data.distributions if one.score == NAME] == pytest.approx(means)
    for name in ("index.html", "report.md"):
        assert "Loss drop" in files[name] and "Answer tokens" in files[name]
    assert METRICS[NAME].about.partition("'")[0] in files["index.html"]


def test_a_metric_from_outside_predicts_the_students_that_follow_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(**{**STUDENTS, "students": STUDENTS["students"][:1]})
    grid = run_offline(study, store)
    drops = loss_drops(store, grid)
    order = sorted({fmean(values.values()) for values in drops.values()})
    for cell in grid.cells:
        right = order.index(fmean(drops[cell.pairs.scores.key].values())) if cell.pairs and cell.pairs.scores else 0
        for _, step in cell.evaluations:
            store.invalidate(step.kind, step.key)
            commit_rows(store, step, [answer(i, i < right) for i in range(10)], [], 10, 0.0)
    ((_, predictions),) = predict_from_metrics(study, Path(), grid, store).items()
    (found,) = (one for one in predictions if one.metric == NAME)
    assert found.correlation and found.correlation.rho == pytest.approx(1)


def answer(index: int, right: bool) -> AnswerRow:
    """A graded answer to a benchmark's item."""
    return AnswerRow(
        f"{index:032x}", "p", "s", index, "t", 0, "?", "", "", right, str(index),
        measures=["accuracy"], values=[float(right)], weights=[1.0],
    )  # fmt: skip


def test_a_study_without_the_plugin_does_not_know_it() -> None:
    activate([])
    with pytest.raises(ValueError, match="Input should be ppl_instruction, "):
        scripted_study(selection=[{"name": "drop", "by": NAME}])
