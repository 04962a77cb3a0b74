"""Tables as in the papers: what varies is named, the better one is bold, published numbers stand beside ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.results import result_table
from pipelines.study.inputs.published import read_published
from tests.pipelines.results.report import sample


def study(*results: Result, **changes: object) -> ReportData:
    return replace(sample.sample(), results=results, **changes)


@pytest.fixture
def one() -> Result:
    return next(r for r in sample.sample().results if r.evolver == "tiny" and r.round == 1)


def both(one: Result, **changes: object) -> list[Result]:
    strict = replace(one, benchmark="ifeval", metric="Pr(S)", low=0.0, high=100.0, **changes)
    return [strict, replace(strict, metric="In(S)", value=strict.value + 10)]


def test_a_line_per_evolver_and_student_and_a_column_per_number(one: Result) -> None:
    table = result_table(
        study(*both(one, value=20.0), *both(one, evolver="small", value=30.0), *both(one, student="other", value=5.0))
    )
    assert table is not None
    assert (table.factors, table.contrast) == (("evolver", "student"), "evolver")
    assert table.measures == ("ifeval Pr(S)", "ifeval In(S)")
    lines = {place: [cell and (cell.result.value, cell.best) for cell in cells] for place, cells in table.lines}
    assert lines == {
        ("tiny", one.student): [(20.0, False), (30.0, False)],
        ("small", one.student): [(30.0, True), (40.0, True)],
        ("tiny", "other"): [(5.0, False), (15.0, False)],  # alone: nothing to be better than
    }


def test_seed_data_and_untuned_students_are_lines_of_their_own(one: Result) -> None:
    table = result_table(
        study(
            replace(one, round=-1, evolver="", teacher=""),
            replace(one, round=0, evolver=""),
            one,
            replace(one, round=2),
        )
    )
    assert table is not None
    assert [place for place, _ in table.lines] == [("untuned", "–"), ("seed data", "–"), ("tiny", "1"), ("tiny", "2")]


def test_published_numbers_stand_beside_the_results_that_they_belong_to(one: Result, tmp_path: Path) -> None:
    (tmp_path / "table1.csv").write_text(
        "benchmark,metric,evolver,round,value,source\nifeval,Pr(S),tiny,1,19.59,Table 1\nifeval,Pr(S),small,,33.83,\n"
    )
    data = study(*both(one), *both(one, evolver="small"), published=tuple(read_published(tmp_path / "table1.csv")))
    table = result_table(data)
    assert table is not None
    found = {place: [cell.published for cell in cells if cell] for place, cells in table.lines}
    assert found == {("tiny",): [((19.59, "Table 1"),), ()], ("small",): [((33.83, ""),), ()]}
    assert '<small title="Table 1">19.59</small>' in render_html(data)
    assert "(19.59)" in render_markdown(data)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("benchmark,values\nx,1\n", "published.csv:1: unknown column 'values'. Did you mean 'value'?"),
        ("benchmark\nx\n", "published.csv:1: missing column 'value'"),
        ("benchmark,value\nx,high\n", "published.csv:2: value: 'high' is not a number"),
        ("benchmark,value\nx\n", "published.csv:2: the number of cells differs from the header"),
    ],
)
def test_a_bad_file_of_published_numbers_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_published(tmp_path / "published.csv")
    assert told in str(error.value)


def test_a_study_without_results_has_no_table() -> None:
    assert result_table(study()) is None
