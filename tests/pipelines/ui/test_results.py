"""Results, comparisons and distributions: the numbers of the report, also while a study runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.results.report.data.comparisons import difference
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.store.store import Store
from tests.pipelines.ui.conftest import PageClient


def test_the_grid_has_the_numbers_of_the_report(page: PageClient) -> None:
    found = page.get("results")
    assert found["unfinished"] == 1 and found["unread"] == 0
    assert {one["measure"] for one in found["results"]} == {"world"}
    assert found["heat"][0]["teachers"] == ["small", "large"]
    values = [cell["value"] for row in found["heat"][0]["rows"] for cell in row["cells"] if cell]
    assert values and all(0 <= value <= 100 for value in values)


def test_without_a_report_the_numbers_are_computed_and_equal(page: PageClient, store: Store) -> None:
    reported = page.get("results")
    (Path(store.root) / "studies" / "scripted" / "report" / "results.csv").unlink()
    assert page.get("results")["results"] == reported["results"]


def test_a_cell_opens_with_its_answers(page: PageClient) -> None:
    one = page.get("results")["results"][-1]
    opened = page.get("cell", cell=one["cell"], step=one["step"])
    assert opened["count"] == 10 and opened["cell"]["student"] == one["student"]
    right = sum(answer["correct"] for answer in opened["answers"])
    assert 10 * right == one["value"]
    assert page.error("cell", cell=10**6, step=one["step"])[0] == 404


def test_students_are_compared_with_the_paired_test_of_the_report(page: PageClient) -> None:
    options = page.get("comparison")["options"]
    assert not options[-1]["ready"] and options[0]["label"] == "small, untuned"
    (line,) = page.get("comparison", a=1, b=0)["lines"]
    scores = [TaskScores({}, {}), TaskScores({}, {})]
    for side, limit in zip(scores, (4, 3), strict=True):
        for item in range(10):
            side.add(f"world {item}", float(item < limit), 1.0)
    expected = difference([((scores[0],), (scores[1],))])
    assert expected is not None
    assert (line["a"], line["b"]) == (pytest.approx(40), pytest.approx(30))
    assert (line["tasks"], line["higher"], line["lower"]) == (10, 1, 0)
    assert (line["difference"]["points"], line["difference"]["p"]) == pytest.approx((expected.points, expected.p))


def test_sets_are_compared_over_their_shared_seeds(page: PageClient) -> None:
    lines = page.get("comparison", of="sets", a=0, b=1)["lines"]
    assert {"PPL instr.", "Tokens of the answer"} <= {line["label"] for line in lines}
    assert {line["tasks"] for line in lines} == {20}
    for line in lines:
        assert abs(line["a"] - line["b"] - line["difference"]["points"]) < 1e-6 * max(1, abs(line["a"]))
    same = page.get("comparison", of="sets", a=0, b=0)["lines"]
    assert all(line["difference"]["points"] == 0 for line in same)


def test_distributions_share_their_bins(page: PageClient) -> None:
    found = page.get("scores", measure="score.ifd")
    assert len(found["series"]) == 10
    assert {sum(one["bins"]) for one in found["series"]} == {20}
    assert all(one["least"] <= one["median"] <= one["most"] for one in found["series"])
    assert page.error("scores", measure="score.x")[0] == 400
