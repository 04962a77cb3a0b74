"""Damage to finished steps is found before anything is built on them, with all that was made of what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.store.damage import damaged, made_of
from pipelines.store.store import Store
from pipelines.study.grid import Grid
from tests.pipelines.offline import run_offline
from tests.pipelines.studies import scripted_study


@pytest.fixture
def ran(tmp_path: Path) -> tuple[Store, Grid]:
    store = Store(str(tmp_path / "store"))
    return store, run_offline(scripted_study(responses={"teachers": ["small"]}), store)


def first_round(store: Store, grid: Grid) -> tuple[str, Path]:
    """A step that others are made of, and the file of its rows."""
    step = next(step for step in grid.steps.values() if step.kind == "evolve")
    return step.key, Path(store.folder("evolve", step.key), "rows-00000.parquet")


def test_nothing_is_wrong_with_an_untouched_store(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    assert damaged(store, grid.steps, store.done()) == {}
    assert damaged(store, grid.steps, frozenset()) == {}


def test_cut_missing_and_unreadable_files_are_found_in_every_finished_step(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    (cut, rows), done = first_round(store, grid), store.done()
    rows.write_bytes(rows.read_bytes()[:-1])
    missing, unreadable = (key for key, step in grid.steps.items() if step.kind == "respond" and step.key in done), ""
    gone = next(missing)
    Path(store.folder("respond", gone), "rows-00000.parquet").unlink()
    unreadable = next(missing)
    Path(store.folder("respond", unreadable), "manifest.json").write_text("{")
    found = damaged(store, grid.steps, done)
    assert found.keys() == {cut, gone, unreadable}
    assert "bytes instead of" in found[cut] and "is missing" in found[gone] and "can not be read" in found[unreadable]


def test_a_changed_byte_is_found_where_it_would_be_read(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    key, rows = first_round(store, grid)
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    below = made_of(grid.steps, {key})
    assert damaged(store, grid.steps, store.done()) == {}, "nothing is left to be made of it"
    assert damaged(store, grid.steps, store.done() - below).keys() == {key}


def test_all_that_descends_from_a_step_is_made_of_it(ran: tuple[Store, Grid]) -> None:
    grid = ran[1]
    (seeds,) = (step.key for step in grid.steps.values() if step.kind == "seeds")
    assert made_of(grid.steps, {seeds}) == grid.steps.keys() - {seeds}
    assert made_of(grid.steps, set()) == set()
