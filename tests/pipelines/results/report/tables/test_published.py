"""Published numbers of students and of data sets stand beside ours, with the difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.results.report.data.instructions import SetSelection
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.rewards import SetReward
from pipelines.results.report.data.scores import LabelShare, SetJudgement
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.published import comparisons
from pipelines.study.inputs.published import read_published
from tests.pipelines.results.report import sample

HEADER = "benchmark,metric,evolver,round,teacher,selection,value,source\n"


def with_published(folder: Path, *lines: str) -> ReportData:
    (folder / "published.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    data, place = sample.sample(), sample.sample().sets[-1].set
    return replace(
        data,
        published=tuple(read_published(folder / "published.csv")),
        rewards=(SetReward(place, "judge", 10, 0, 2.5, 2.0, 2.5, 3.0, None, 0),),
        judgements=(
            SetJudgement(place.instructions, "difficulty", 10, 0, None, None, (LabelShare("hard", 40.0),)),
            SetJudgement(place.instructions, "difficulty_score", 10, 0, 61.0, None, ()),
            SetJudgement(place.instructions, "tags", 10, 0, 4.82, 14, (), 1.39),
        ),
        selections=(SetSelection(place, "top", "ifd", "high", 10, 5, 0.9, 0.8, 0.99, ()),),
    )


@pytest.mark.parametrize(
    ("metric", "selection", "ours"),
    [
        ("reward judge", "", 2.5),
        ("difficulty hard", "", 40.0),
        ("difficulty_score", "", 61.0),
        ("tags", "", 4.82),
        ("tags distinct", "", 14),
        ("tags diversity", "", 1.39),
        ("selected ifd", "top", 0.9),
        ("selected ifd", "other", None),
        ("difficulty easy", "", None),
    ],
)
def test_a_metric_of_a_data_set_is_compared(tmp_path: Path, metric: str, selection: str, ours: float | None) -> None:
    place = sample.sample().sets[-1].set
    line = f",{metric},{place.evolver},{place.round},,{selection},2.0,Table 14"
    (found,) = comparisons(with_published(tmp_path, line))
    assert (found.ours, found.count) == (ours, int(ours is not None))
    assert found.difference == (None if ours is None else ours - 2.0)


def test_the_metrics_of_pairs_and_several_matches_have_a_mean(tmp_path: Path) -> None:
    data = with_published(tmp_path, ",ifd,,,,,0.5,Figure 4")
    values = [one.means["ifd"] for one in data.sets if "ifd" in one.means]
    (found,) = comparisons(data)
    assert found.count == len(values) > 1
    assert found.ours == pytest.approx(sum(values) / len(values))


def test_the_page_shows_the_difference_with_its_sign(tmp_path: Path) -> None:
    data = with_published(tmp_path, ",reward judge,,,,,2.75,Table 14", ",no such metric,,,,,1,")
    for text in (render_html(data), render_markdown(data)):
        assert "Published numbers" in text and "−0.250" in text and "Table 14" in text
    assert "Published numbers" not in render_html(sample.sample())
