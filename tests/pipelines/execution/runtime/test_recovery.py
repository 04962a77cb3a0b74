"""Damage to finished steps is found before anything is built on them, with all that was made of what is damaged."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.execution import runner
from pipelines.execution.runtime.recovery import downstream_of, find_corrupt_steps, invalidate
from pipelines.store.partitions import PartitionRows, find_partitions, write_partition
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.step import Step


@pytest.fixture
def ran(finished_store: tuple[Store, Grid]) -> tuple[Store, Grid]:
    return finished_store


def first_round(store: Store, grid: Grid) -> tuple[str, Path]:
    """A step that others are made of, and the file of its rows."""
    step = next(step for step in grid.steps.values() if step.kind == "evolve")
    return step.key, Path(store.folder("evolve", step.key), "rows-00000.parquet")


def test_nothing_is_wrong_with_an_untouched_store(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    assert find_corrupt_steps(store, grid.steps, store.finished_keys()) == {}
    assert find_corrupt_steps(store, grid.steps, frozenset()) == {}


def test_cut_missing_and_unreadable_files_are_found_in_every_finished_step(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    (cut, rows), done = first_round(store, grid), store.finished_keys()
    rows.write_bytes(rows.read_bytes()[:-1])
    missing, unreadable = (key for key, step in grid.steps.items() if step.kind == "respond" and step.key in done), ""
    gone = next(missing)
    Path(store.folder("respond", gone), "rows-00000.parquet").unlink()
    unreadable = next(missing)
    Path(store.folder("respond", unreadable), "manifest.json").write_text("{")
    found = find_corrupt_steps(store, grid.steps, done)
    assert found.keys() == {cut, gone, unreadable}
    assert "bytes instead of" in found[cut] and "is missing" in found[gone] and "is corrupt" in found[unreadable]


def test_a_changed_byte_is_found_where_it_would_be_read(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    below = downstream_of(grid.steps, {key})
    assert find_corrupt_steps(store, grid.steps, store.finished_keys()) == {}, "nothing is left to be made of it"
    assert find_corrupt_steps(store, grid.steps, store.finished_keys() - below).keys() == {key}


def test_all_that_descends_from_a_step_is_made_of_it(ran: tuple[Store, Grid]) -> None:
    grid = ran[1]
    (seeds,) = (step.key for step in grid.steps.values() if step.kind == "seeds")
    assert downstream_of(grid.steps, {seeds}) == grid.steps.keys() - {seeds}
    assert downstream_of(grid.steps, set()) == set()


def test_a_changed_byte_is_found_where_only_what_is_made_again_reads_it(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    cut = next(step.key for step in grid.steps.values() if step.kind == "respond" and step.inputs[0].key == key)
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    Path(store.folder("respond", cut), "rows-00000.parquet").unlink()
    assert find_corrupt_steps(store, grid.steps, store.finished_keys()).keys() == {key, cut}


def test_what_was_made_of_a_step_that_somebody_deleted_is_made_again(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    shutil.rmtree(rows.parent)
    found = find_corrupt_steps(store, grid.steps, store.finished_keys())
    assert "is missing" in found.pop(key) and not found
    assert downstream_of(grid.steps, {key}) & store.finished_keys()


def spoilt_of(store: Store, grid: Grid) -> list[Step]:
    plan: Any = SimpleNamespace(grid=grid, done=store.finished_keys())
    return runner._corrupt_steps(store, plan, print)


def test_who_is_killed_while_withdrawing_leaves_nothing_that_was_made_of_a_step_made_again(
    ran: tuple[Store, Grid],
) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    rows.unlink()
    spoilt = spoilt_of(store, grid)
    assert len(spoilt) > 3 and spoilt[-1].key == key
    for step in spoilt:
        store.invalidate(step.kind, step.key)
        assert all(
            needed.key in store.finished_keys() for each in store.finished_keys() for needed in grid.steps[each].inputs
        )


def test_parts_of_an_unfinished_step_whose_source_is_made_again_go_and_its_answers_stay(
    ran: tuple[Store, Grid],
) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    below = next(step for step in grid.steps.values() if step.kind == "respond" and step.inputs[0].key == key)
    store.invalidate(below.kind, below.key)
    write_partition(store, below.kind, below.key, 0, PartitionRows([], []))
    answers = Path(store.folder(below.kind, below.key), "parts", "00000000-0.answers")
    answers.write_bytes(b"")
    rows.unlink()
    for step in spoilt_of(store, grid):
        invalidate(store, step)
    assert find_partitions(store, below.kind, below.key) == {} and answers.exists()
