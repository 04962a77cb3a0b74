"""Layouts of a study file: rows, columns and panels by coordinates, with published numbers and what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.layouts.pivot import LayoutView, layout_views
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.inputs.published import Published
from tests.support.made_up_results import made_up_report
from tests.support.studies import STUDENTS, scripted_study


def report_of(layout: dict[str, Any], share: float = 1.0, **changes: Any) -> ReportData:
    study = scripted_study(**STUDENTS, layouts=[{"name": "Table 1", **layout}], **changes)
    return made_up_report(study, Path(), build(study, Path()), share)


def view_of(layout: dict[str, Any], share: float = 1.0, **changes: Any) -> LayoutView:
    (view,) = layout_views(report_of(layout, share, **changes))
    return view


def test_rows_and_columns_are_those_of_the_grid_in_its_order() -> None:
    view = view_of({"only": {"teacher": "large"}, "rows": ["evolver", "round"], "columns": "student"})
    (panel,) = view.panels
    seeds, evolved = ("seed data", "0"), [(model, number) for model in ("small", "large") for number in "12"]
    assert [key for key, _ in panel.rows] == [seeds, *evolved]
    assert panel.columns == (("small",), ("large",))
    assert all(cell and cell.count == 1 and cell.margin for _, cells in panel.rows for cell in cells)


def test_equal_headings_span_their_columns() -> None:
    (panel,) = view_of({"only": {"round": 1}, "rows": ["evolver"], "columns": ["student", "teacher"]}).panels
    assert panel.head[0] == (("small", 2), ("large", 2))
    assert panel.head[1] == (("small", 1), ("large", 1)) * 2


def test_several_numbers_of_a_cell_are_averaged_with_an_interval_over_their_tasks() -> None:
    layout = {"only": {"round": [1, 2]}, "rows": ["evolver"]}
    data = report_of(layout)
    (panel,) = layout_views(data)[0].panels
    for (evolver,), (cell,) in panel.rows:
        values = [one.value for one in data.results if one.evolver == evolver]
        assert cell and cell.count == len(values) == 8
        assert cell.value == pytest.approx(sum(values) / 8)
        assert cell.value and cell.low and cell.high and cell.low < cell.value < cell.high


def test_each_panel_has_a_table() -> None:
    view = view_of({"only": {"round": 1}, "rows": ["evolver"], "columns": "student", "panels": "teacher"})
    assert [panel.title for panel in view.panels] == ["teacher small", "teacher large"]


def test_a_cell_has_its_published_number_and_whether_the_interval_agrees() -> None:
    data = report_of({"only": {"round": 1, "teacher": "small", "student": "small"}, "rows": ["evolver"]})
    (panel,) = layout_views(data)[0].panels
    ours = panel.rows[0][1][0]
    assert ours and ours.value is not None and ours.low is not None and ours.agreement == ""
    place = {"benchmark": "world", "evolver": "small", "round": "1", "teacher": "small", "student": "small"}
    for value, agreement in ((ours.value, "within"), (ours.low - 1, "above"), (99.9, "below")):
        changed = replace(data, published=(Published(place, value, "Table 1", 2),))
        cell = layout_views(changed)[0].panels[0].rows[0][1][0]
        assert cell and (cell.published, cell.agreement) == (value, agreement)
        assert cell.difference == pytest.approx(ours.value - value)


def test_a_number_that_is_not_there_yet_is_a_dash_with_the_reason() -> None:
    data = report_of({"only": {"round": 1}, "rows": ["evolver"], "columns": "student"}, share=0)
    place = {"benchmark": "world", "metric": "accuracy", "evolver": "small", "round": "1", "student": "small"}
    data = replace(data, published=(Published(place, 41.5, "Table 1", 2),))
    (panel,) = layout_views(data)[0].panels
    assert panel.missing == (("not trained yet", 4),)
    cell = panel.rows[0][1][0]
    assert cell and cell.value is None and cell.published == 41.5
    for text in (render_html(data), render_markdown(data)):
        assert "4 not trained yet" in text and "41.50" in text


def test_a_published_number_of_a_data_set_is_no_benchmarks_number() -> None:
    published = Published({"metric": "accuracy", "evolver": "small"}, 41.5, "Table 1", 2)
    assert not published.matches({"benchmark": "world", "metric": "accuracy", "evolver": "small"})
    assert published.matches({"metric": "accuracy", "evolver": "small", "round": "1"})


def test_a_layout_that_names_nothing_of_the_study_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: s\nseeds: [{name: world, world: {count: 8}}]\nmodels:\n  m: {source: m, engine: scripted}\n"
        "responses: {teachers: [m]}\nlayouts:\n  - name: T\n    rows: [round]\n    only: {teacher: n}\n"
    )
    with pytest.raises(Exception, match="no teacher of this study is 'n'") as error:
        check(load(path))
    assert "study.yaml:9" in str(error.value)


def test_no_step_depends_on_layouts() -> None:
    plain, shown = scripted_study(**STUDENTS), scripted_study(**STUDENTS, layouts=[{"name": "T", "rows": ["round"]}])
    assert build(plain, Path()).steps.keys() == build(shown, Path()).steps.keys()
