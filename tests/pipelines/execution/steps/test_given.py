"""Existing answers are data sets like those of teachers: read, matched, accounted for, scored and selected."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.errors import InputError
from pipelines.execution.runner import run as run_study
from pipelines.execution.steps.given import UNMATCHED_NOTE
from pipelines.execution.steps.selection import run_selection
from pipelines.planning.plan import make_plan
from pipelines.results.export.datasets import export_sets
from pipelines.results.predict.study import predict_from_metrics
from pipelines.results.report.collect.collect import collect_report
from pipelines.rows.arrow import from_table
from pipelines.rows.types import Rejection, ResponseRow
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline

SEEDS = [
    {"instruction": "Name a colour.", "input": "", "output": "Red.", "other": "Blue, a calm colour."},
    {"instruction": "Add.", "input": "1 + 1", "output": "2", "other": None},
    {"instruction": "Add.", "input": "2 + 2", "output": " ", "other": "The sum is 4."},
]
STUDY = """
study: given
seeds: [{name: own, file: SEEDS}]
models: {scorer: {source: scorer, engine: scripted}}
responses: {given: GIVEN}
scoring: {scorer: scorer}
recipes: {full: {}}
students: [{model: scorer, recipe: full}]
"""


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def study(folder: Path, *given: dict[str, Any]) -> LoadedStudy:
    text = STUDY.replace("SEEDS", str(write(folder / "seeds.jsonl", SEEDS))).replace("GIVEN", json.dumps(given))
    (folder / "study.yaml").write_text(text)
    loaded = load(folder / "study.yaml")
    check(loaded)
    return loaded


def run(folder: Path, *given: dict[str, Any]) -> tuple[Grid, Store]:
    store = Store(str(folder / "store"))
    return run_offline(study(folder, *given).study, store), store


def answers(grid: Grid, store: Store, name: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the answers of a set and the reasons of its rejections, by index."""
    (step,) = (pairs.responses for pairs in grid.sets if pairs.teacher == name)
    account = store.manifest(step.kind, step.key).account
    assert account.rows_in == account.rows_out + account.rejected == len(SEEDS)
    rows = from_table(ResponseRow, store.rows(step.kind, step.key))
    lost = from_table(Rejection, store.rows(step.kind, step.key, "rejected"))
    return [(row.index, row.response) for row in rows], [(row.index, row.reason) for row in lost]


def test_columns_of_the_seed_file_are_teachers(tmp_path: Path) -> None:
    grid, store = run(tmp_path, {"name": "alpaca", "column": "output"}, {"name": "better", "column": "other"})
    assert answers(grid, store, "alpaca") == ([(0, "Red."), (1, "2")], [(2, "empty")])
    assert answers(grid, store, "better") == ([(0, "Blue, a calm colour."), (2, "The sum is 4.")], [(1, "empty")])


def test_another_file_is_matched_by_instruction_and_input(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "2 + 2", "output": "four"},
        {"instruction": "Name a colour.", "output": "Green."},
        {"instruction": "Asked by nobody", "output": "x"},
    ]
    grid, store = run(tmp_path, {"name": "more", "file": str(write(tmp_path / "more.jsonl", rows))})
    assert answers(grid, store, "more") == ([(0, "Green."), (2, "four")], [(1, "no_answer")])
    (step,) = (pairs.responses for pairs in grid.sets)
    assert store.manifest(step.kind, step.key).notes == {UNMATCHED_NOTE: 1}


def test_another_file_is_matched_by_row(tmp_path: Path) -> None:
    rows = [{"q": "a", "text": "first"}, {"q": "b", "text": "second"}]
    given = {"file": str(write(tmp_path / "more.jsonl", rows)), "columns": {"instruction": "q", "output": "text"}}
    grid, store = run(tmp_path, {"name": "more", "match": "row"} | given)
    assert answers(grid, store, "more") == ([(0, "first"), (1, "second")], [(2, "no_answer")])


def test_repeated_instructions_have_their_answers_in_order(tmp_path: Path) -> None:
    rows = [{"instruction": "Name a colour.", "output": text} for text in ("Green.", "Pink.")]
    path = write(tmp_path / "more.jsonl", rows)
    loaded = study(tmp_path, {"name": "more", "file": str(path)})
    write(tmp_path / "seeds.jsonl", [SEEDS[0]] * len(SEEDS))
    store = Store(str(tmp_path / "store"))
    found, _ = answers(run_offline(loaded.study, store), store, "more")
    assert [text for _, text in found] == ["Green.", "Pink.", "Pink."]


def test_a_file_without_any_answer_to_a_seed_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "more.jsonl", [{"instruction": "Nothing here", "output": "x"}])
    with pytest.raises(InputError, match="no answer belongs to a seed, by instruction and input"):
        run(tmp_path, {"name": "more", "file": str(path)})
    assert not [*(tmp_path / "store" / "steps").glob("given/*/*")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "scorer", "column": "output"}, "is the name of a model, too"),
        ({"name": "a", "column": "output", "seeds": "onw"}, "no seed set is named 'onw'"),
        ({"name": "a", "file": "missing.jsonl"}, "missing.jsonl"),
        ({"name": "a"}, "give exactly one of 'column' and 'file'"),
        ({"name": "a", "column": "x", "match": "row"}, "'match' has a meaning for 'file' only"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(tmp_path, given)


def test_neither_teachers_nor_answers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give 'teachers', 'given' answers or both"):
        study(tmp_path)


def test_a_study_of_given_answers_alone_runs_and_is_reported(tmp_path: Path) -> None:
    loaded = study(tmp_path, {"name": "alpaca", "column": "output"}, {"name": "better", "column": "other"})
    alone = replace(loaded, study=loaded.study.model_copy(update={"scoring": [], "students": []}))
    console = Console(file=io.StringIO(), width=200)
    summary = run_study(alone, Store(str(tmp_path / "store")), None, console)
    assert (summary.executed, summary.failures) == (3, [])
    assert "better" in Path(summary.report).read_text()


def test_given_answers_are_planned_scored_selected_reported_and_exported(tmp_path: Path) -> None:
    loaded = study(tmp_path, {"name": "alpaca", "column": "output"})
    store = Store(str(tmp_path / "store"))
    plan = make_plan(loaded.study, tmp_path, store)
    assert {step.kind for step in plan.pending} == {"seeds", "given", "score", "select", "train"}
    grid = run_offline(loaded.study, store)
    (select,) = (step for step in grid.steps.values() if step.kind == "select")
    assert run_selection(store, select).account.rows_out == 2
    report = collect_report(loaded.study, tmp_path, grid, store)
    assert [(one.set.teacher, one.set.round, one.rows) for one in report.sets] == [("alpaca", 0, 2)]
    assert [(one.teacher, one.asked, one.empty) for one in report.flags] == [("alpaca", 3, 1)]
    files = export_sets(store, loaded.study, grid, tmp_path / "data", "alpaca")
    assert [file.rows for file in files if "alpaca" in file.name] == [2]
    assert predict_from_metrics(loaded.study, loaded.folder, grid, store) == {}  # no student is trained yet


def test_thoughts_of_given_answers_are_apart_from_the_answers(tmp_path: Path) -> None:
    texts = ["<think>\nHm.\n</think>\n\nRed.", "<think>\nHm.", " 4 "]
    rows = [{"instruction": "Ask.", "output": text} for text in texts]
    file = write(tmp_path / "more.jsonl", rows)
    grid, store = run(tmp_path, {"name": "more", "file": str(file), "match": "row"})
    (step,) = {pairs.responses.key: pairs.responses for pairs in grid.sets}.values()
    made = from_table(ResponseRow, store.rows(step.kind, step.key))
    assert [(row.response.strip(), row.thoughts) for row in made] == [("Red.", "Hm."), ("4", "")]
