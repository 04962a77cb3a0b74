"""Prediction on a study: the metric that students were made to follow has a rho of 1, and too few sets say so."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.views.grid_models import show_grid_models
from pipelines.cli.views.predictions import show_predictions
from pipelines.evaluate.items.answers import answer_row, with_grade
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.items.item import exact_grade as accuracy
from pipelines.execution.runtime.commit import commit_rows
from pipelines.results.predict.grid_model import fit_grids
from pipelines.results.predict.paradox import Paradox
from pipelines.results.predict.performance import collect_performances
from pipelines.results.predict.points import collect_points
from pipelines.results.predict.study import compare_teacher_sizes, predict_from_metrics, teachers_without_family
from pipelines.results.report.collect.collect import collect_report
from pipelines.results.report.tables.layouts.pivot import layout_views
from pipelines.results.report.tables.set_means import average_sets
from pipelines.rows.types import AnswerRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

ONE_STUDENT = STUDENTS | {"students": [{"model": "small", "recipe": "full"}]}
TASKS = 10


def answer(index: int, right: bool) -> AnswerRow:
    asked = Item(str(index), (("user", "?"),))
    return with_grade(answer_row(f"{index:032x}", asked, index, asked.messages, [""], "stop"), accuracy(right))


def answers(store: Store, step: Step, right: int) -> None:
    """Replace the stored evaluation by one with `right` correct answers."""
    store.invalidate(step.kind, step.key)
    rows = [answer(i, i < right) for i in range(TASKS)]
    commit_rows(store, step, [*rows], [], TASKS, 0.0)


def finished(store: Store, follow: str, **changes: Any) -> tuple[Study, Grid]:
    """A study in which students on a data set are right the more often the higher its metric `follow` is."""
    study = scripted_study(**{**ONE_STUDENT, **changes})
    grid = run_offline(study, store)
    means = {point.pairs: point.for_students_of("small")[follow] for point in collect_points(study, grid, store)}
    order = sorted(set(means.values()))
    for cell in grid.cells:
        for number, (_, step) in enumerate(cell.evaluations):
            answers(store, step, 0 if cell.pairs is None else order.index(means[cell.pairs]) // (number + 1))
    return study, grid


def by_metric(study: Study, grid: Grid, store: Store) -> Mapping[str, Any]:
    ((place, found),) = predict_from_metrics(study, Path(), grid, store).items()
    assert (place.student, place.selection, place.benchmark) == ("small full", "all", "world")
    return {one.metric: one for one in found}


def told(study: Study, grid: Grid, store: Store) -> str:
    output = io.StringIO()
    found = predict_from_metrics(study, Path(), grid, store)
    show_predictions(Console(file=output, width=160), found, compare_teacher_sizes(study, Path(), grid, store))
    return output.getvalue()


def test_the_metric_that_students_follow_predicts_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    found = by_metric(*finished(store, "ppl_answer"), store)
    assert found["ppl_answer"].correlation.rho == pytest.approx(1)
    assert found["ppl_answer"].points == 10, "two evolvers with two rounds each and the seeds, two teachers"
    assert next(iter(found)) == "ppl_answer", "the best is told first"
    assert {"length_answer", "ppl_instruction", "ppl_conditional", "ifd", "ifd_ppl", "ic_ifd"} <= set(found)
    assert all(-1 <= one.correlation.low <= one.correlation.high <= 1 for one in found.values())


def test_a_point_is_the_mean_over_the_rows_of_its_set(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study()
    grid = run_offline(study, store)
    for point in collect_points(study, grid, store):
        scores = point.pairs.scores
        assert scores is not None
        rows = store.rows(scores.kind, scores.key).column("ifd").to_pylist()
        assert point.for_students_of("")["ifd"] == pytest.approx(sum(rows) / len(rows))


def test_too_few_sets_have_no_rho(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study, grid = finished(
        store, "ppl_answer", evolution={"evolvers": ["small"], "rounds": 2}, responses={"teachers": ["small"]}
    )
    assert by_metric(study, grid, store)["ppl_answer"].correlation is None
    assert "fewer than 4 sets" in told(study, grid, store)


def test_students_that_are_all_alike_have_an_undefined_rho(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study, grid = finished(store, "ppl_answer")
    for cell in grid.cells:
        for _, step in cell.evaluations:
            answers(store, step, 5)
    assert math.isnan(by_metric(study, grid, store)["ppl_answer"].correlation.rho)
    assert "all values are equal" in told(study, grid, store)


def test_several_benchmarks_have_a_mean(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    benchmarks = [{"name": name, "world": {"count": count}} for name, count in (("one", 10), ("two", 11))]
    study, grid = finished(store, "ppl_answer", benchmarks=benchmarks)
    found = {
        place.benchmark: {one.metric: one for one in made}
        for place, made in predict_from_metrics(study, Path(), grid, store).items()
    }
    assert set(found) == {"one", "two", "mean"}
    assert found["mean"]["ppl_answer"].correlation.rho == pytest.approx(1)


def test_a_point_is_a_mean_over_the_seeds_of_answers_and_trainings(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    decodings = [{"name": "warm", "temperature": 0.7, "seeds": 2}]
    study = scripted_study(
        **ONE_STUDENT
        | {"students": [{"model": "small", "recipe": "full", "seeds": [4, 9, 10]}]}
        | {"responses": {"teachers": ["small", "large"], "decodings": decodings}}
    )
    grid = run_offline(study, store)
    for number, cell in enumerate(cell for cell in grid.cells if cell.pairs):
        for _, step in cell.evaluations:
            answers(store, step, number % 6)
    assert len({cell.pairs for cell in grid.cells if cell.pairs}) == 20
    ((_, performances),) = collect_performances(study, Path(), grid, store, "all").items()
    assert [*performances.values()] == pytest.approx([100 * 2.5 / TASKS] * 10)
    lengths = [column_mean(store, pairs) for pairs in grid.sets if pairs.place_without_seed[-2:] == ("small", "warm")]
    points = [point for point in collect_points(study, grid, store) if point.pairs.teacher == "small"]
    assert len(points) == 5 and points[0].for_students_of("small")["length_answer"] == pytest.approx(
        (lengths[0] + lengths[1]) / 2
    )


def column_mean(store: Store, pairs: InstructionDataset) -> float:
    return fmean(store.rows(pairs.responses.kind, pairs.responses.key).column("tokens_out").to_pylist())


def test_larger_teachers_are_compared_where_sizes_are_known(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    models = {}
    for name, size in (("small", 4), ("large", 40)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(bytes(size))
        models[name] = {"source": str(tmp_path / name), "cpus": 0.1, "family": "f"}
    models["scorer"] = {"source": "scorer", "engine": "scripted", "cpus": 0.1}
    study, grid = finished(store, "ppl_answer", models=models)

    def right(pairs: InstructionDataset | None) -> int:
        return 9 if pairs and pairs.teacher == "small" and pairs.round else 5

    for cell in grid.cells:
        for _, step in cell.evaluations:
            answers(store, step, right(cell.pairs))
    found = compare_teacher_sizes(study, tmp_path, grid, store)
    assert found == [Paradox("small", "large", smaller_wins=4, bases=5)]
    assert "small beats the larger large in 4 of 5 cases" in told(study, grid, store)


def test_teachers_are_compared_within_a_family_by_the_studys_performance(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    models = {
        name: {"source": name, "engine": "scripted", "cpus": 0.1, "family": family, "parameters": size}
        for name, family, size in (("small", "f", 4e9), ("large", "f", 4e10), ("other", "g", 4e11))
    } | {"scorer": {"source": "scorer", "engine": "scripted", "cpus": 0.1}}
    study, grid = finished(
        store,
        "ppl_answer",
        models=models,
        responses={"teachers": ["small", "large", "other"]},
        benchmarks=[{"name": name, "world": {"count": count}} for name, count in (("a-one", 10), ("b", 11))],
        performance="a_one - b",
    )
    for cell in grid.cells:
        for (_, step), right in zip(cell.evaluations, (9, 1 if is_small(cell.pairs) else 8), strict=True):
            answers(store, step, right)
    found = compare_teacher_sizes(study, tmp_path, grid, store)
    assert found == [Paradox("small", "large", smaller_wins=5, bases=5)]
    groups = predict_from_metrics(study, Path(), grid, store, "teacher")
    assert {place.benchmark for place in groups} == {"a-one", "b", "performance"}
    assert {place.place for place in groups} == {
        *(f"{evolver}, round {number}, greedy" for evolver in ("small", "large") for number in (1, 2)),
        "round 0, greedy",
    }
    (values, *_) = (
        found
        for place, found in collect_performances(study, Path(), grid, store, "teacher").items()
        if place.benchmark == "performance"
    )
    assert sorted(values.values()) == pytest.approx([10.0, 10.0, 80.0])


def is_small(pairs: InstructionDataset | None) -> bool:
    return pairs is not None and pairs.teacher == "small"


def test_teachers_of_unknown_families_are_named(tmp_path: Path) -> None:
    study = scripted_study(**ONE_STUDENT)
    assert teachers_without_family(study, tmp_path) == ["small", "large"]


def test_an_unfinished_study_is_told_to_run_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(**ONE_STUDENT)
    grid = run_offline(study, store)
    assert predict_from_metrics(study, Path(), grid, store) == {}
    assert "run the study first" in told(study, grid, store)


def test_the_model_of_a_grid_is_fitted_to_a_finished_study(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study, grid = finished(store, "ppl_answer")
    (model,) = fit_grids(study, Path(), grid, store)
    assert (model.benchmark, len(model.cells)) == ("world", 10)
    quality = {one.metric: one for one in model.priors}
    assert quality["ppl_answer"].rho == {"small full": pytest.approx(-1)}, "a low perplexity counts as better"
    assert "" in quality, "the model without a prior is there for comparison"
    assert list(model.priors) == sorted(model.priors, key=lambda one: -one.r2)
    best = model.priors[0]
    assert best.r2 > quality[""].r2
    assert len({cell.arm for cell in model.cells}) == 10
    output = io.StringIO()
    show_grid_models(Console(file=output, width=160), [model])
    assert f"Predicted with {best.metric}" in output.getvalue() and "difference" in output.getvalue()
    assert fit_grids(study, Path(), grid, Store(str(tmp_path / "empty"))) == []


def test_a_layout_shows_the_correlations_that_it_names(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    layout = {
        "name": "Table 4",
        "only": {"metric": ["rho ppl_answer", "rho ifd"]},
        "rows": "metric",
        "columns": "student",
    }
    study, grid = finished(store, "ppl_answer", layouts=[layout])
    (view,) = layout_views(average_sets(collect_report(study, Path(), grid, store)))
    (panel,) = view.panels
    shown = {metric: cell.value for (metric,), (cell,) in panel.rows if cell}
    known = by_metric(study, grid, store)
    assert shown == {f"rho {name}": known[name].correlation.rho for name in ("ppl_answer", "ifd")}
    assert panel.columns == (("small",),)
