"""Selections as steps: what they read from the store, and that equal ones are of equal size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.metrics import rounded_value
from pipelines.rows.arrow import from_table
from pipelines.rows.types import PairRow
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study


def sizes(store: Store, grid: Grid) -> list[int]:
    """How many pairs each selection of a study chooses."""
    steps = [step for step in grid.steps.values() if step.kind == "select"]
    return [run_selection(store, step).account.rows_out for step in steps]


def run(store: Store, **selection: Any) -> Grid:
    return run_offline(scripted_study(selection=[{"name": "x", **selection}], **STUDENTS), store)


def test_a_selection_by_score_reads_the_scores_of_its_pairs(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    grid = run(store, by="ppl_answer", keep=0.5)
    assert set(sizes(store, grid)) == {10}
    step = next(step for step in grid.steps.values() if step.kind == "select")
    rows = from_table(PairRow, store.rows(step.kind, step.key))
    scores = store.rows(step.inputs[1].kind, step.inputs[1].key).to_pylist()
    by_pair = {score["parent_id"]: rounded_value("ppl_answer", score["ppl_answer"]) for score in scores}
    assert sorted(row.score for row in rows) == sorted(by_pair.values())[:10]
    assert all(by_pair[row.parent_id] == row.score for row in rows)


def test_equal_selections_are_as_large_as_the_smallest_of_the_same_seeds(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    bounds = {"by": "words", "above": 12.0}
    alone = sizes(store, run(store, **bounds))
    assert len(set(alone)) > 1, "the sets differ, or this test shows nothing"
    equal = run(store, equal=True, **bounds)
    assert set(sizes(store, equal)) == {min(alone)}


def test_a_selection_that_is_not_equal_does_not_depend_on_other_sets(tmp_path: Path) -> None:
    def keys(teachers: list[str], equal: bool) -> set[str]:
        study = scripted_study(
            responses={"teachers": teachers}, selection=[{"name": "x", "size": 5, "equal": equal}], **STUDENTS
        )
        return {step.key for step in build(study, tmp_path).steps.values() if step.kind == "select"}

    assert keys(["small"], equal=False) < keys(["small", "large"], equal=False)
    assert not keys(["small"], equal=True) & keys(["small", "large"], equal=True)


def test_the_selection_of_a_partial_training_is_a_share_of_that_of_the_full_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    search = {"over": "teacher", "rungs": {"shares": [0.2, 0.5]}}
    study = scripted_study(selection=[{"name": "x", "by": "ppl_answer", "keep": 0.5}], search=search, **STUDENTS)
    grid = run_offline(study, store)
    assert set(sizes(store, grid)) == {10, 5, 2}
    chosen = {
        (cell.pairs, cell.share): {row["parent_id"] for row in store.rows("select", selected.key).to_pylist()}
        for cell in (*grid.cells, *grid.partial)
        if cell.train and (selected := cell.train.inputs[0])
    }
    for pairs in {pairs for pairs, _ in chosen}:
        assert chosen[pairs, 0.2] < chosen[pairs, 0.5] < chosen[pairs, 1.0]
