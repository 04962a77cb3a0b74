"""Figures of a study's layouts: what is drawn, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.report.page import render_html
from pipelines.results.report.plots.canvas import Figure
from pipelines.results.report.plots.layouts.charts import chart
from pipelines.results.report.tables.layouts.pivot import layout_views
from pipelines.study.graph.build import build
from pipelines.study.inputs.published import Published
from tests.support.made_up_results import made_up_report
from tests.support.studies import STUDENTS, scripted_study

LAYOUT = {"name": "Figure 3", "only": {"round": [1, 2], "teacher": "small"}, "rows": "round", "columns": "evolver"}
PUBLISHED = Published({"benchmark": "world", "metric": "accuracy", "evolver": "small"}, 41.5, "Figure 3", 2)


def drawn(share: float = 1.0, **changes: Any) -> Figure | None:
    study = scripted_study(**STUDENTS, layouts=[LAYOUT | changes])
    data = made_up_report(study, Path(), build(study, Path()), share)
    (view,) = layout_views(replace(data, published=(PUBLISHED,)))
    return chart(view)


@pytest.mark.parametrize("kind", ["bars", "lines", "stack"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_each_panel_is_drawn_and_every_series_is_in_the_legend(kind: str, share: float) -> None:
    figure = drawn(share, kind=kind, panels="student")
    assert figure
    assert [panel.title for panel in figure.panels] == ["student small", "student large"]
    assert all(">1<" in panel.svg and ">2<" in panel.svg for panel in figure.panels)  # the rounds on the axis
    assert [entry.name for entry in figure.legend][:2] == ["small", "large"]
    assert "published" in figure.note


def test_tables_and_layouts_without_numbers_are_not_drawn() -> None:
    assert drawn(kind="table") is None and drawn(kind="map") is None
    assert drawn(share=0, kind="bars", only={"round": 1, "evolver": "large"}) is None


def test_the_page_shows_the_drawing_and_keeps_its_numbers() -> None:
    study = scripted_study(**STUDENTS, layouts=[LAYOUT | {"kind": "bars", "name": "<b>Figure"}])
    page = render_html(made_up_report(study, Path(), build(study, Path())))
    assert "<b>Figure" not in page and "&lt;b&gt;Figure" in page
    section = page[page.index('<section id="layouts">') : page.index('<section id="results">')]
    assert section.count("<svg") == 1 and "<summary>The numbers</summary>" in section
