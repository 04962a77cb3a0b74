"""What a run writes about its present state, for those who watch it from elsewhere."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from actors.serving.spec import PoolStats, ReplicaStats
from pipelines.execution.live_recorder import MAX_LOSSES, LiveRecorder, recording
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.results.report.graph import save_study_graph
from pipelines.store.errors import LeaseLost
from pipelines.store.store import Store
from pipelines.store.studies.graph_record import load_graph
from pipelines.store.studies.live_state import LiveState, load_live
from pipelines.study.graph.build import build
from tests.support.studies import STUDENTS, scripted_study


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def display() -> ProgressDisplay:
    return ProgressDisplay(Console(file=io.StringIO(), width=200))


def written(store: Store) -> LiveState:
    found = load_live(store, "s")
    assert found is not None
    return found


def stats(**totals: int) -> PoolStats:
    return PoolStats((1,), 1, 5, 2, ReplicaStats(**totals), frozenset(), (), ())


def test_the_state_has_what_the_display_shows(store: Store, display: ProgressDisplay) -> None:
    with recording(store, "s", display) as recorder:
        display.update("a", "respond", 3, 10, "note")
        display.update("b", "train", 1, 4, loss=2.5)
        display.update("b", "train", 2, 4, loss=1.5)
        display.print("[yellow]small[/yellow]: a replica crashed")
        recorder.observe_pools({"small": stats(requests=7, tokens_out=90, crashes=1)})
        recorder.write()
        state = written(store)
    assert (state.steps["a"].done, state.steps["a"].total, state.steps["a"].note) == (3, 10, "note")
    assert state.losses == {"b": [(1, 2.5), (2, 1.5)]}
    assert [line.text for line in state.messages] == ["small: a replica crashed"]
    small = state.engines["small"]
    assert (small.queued, small.in_flight, small.requests, small.crashes, small.active) == (5, 2, 7, 1, True)
    assert not state.ended
    assert written(store).ended == "finished" and not written(store).engines["small"].active


def test_finished_steps_are_no_longer_in_progress(store: Store, display: ProgressDisplay) -> None:
    with recording(store, "s", display):
        display.update("b", "train", 1, 4, loss=2.5)
        display.finish("b", "done")
    state = written(store)
    assert not state.steps and not state.losses


def test_an_interrupted_run_says_so(store: Store, display: ProgressDisplay) -> None:
    with pytest.raises(KeyboardInterrupt), recording(store, "s", display):
        raise KeyboardInterrupt
    assert written(store).ended == "interrupted"


def test_a_driver_that_lost_its_lease_writes_nothing(store: Store) -> None:
    recorder = LiveRecorder(store, "s")
    recorder.write()

    def lost() -> None:
        raise LeaseLost("taken over")

    store.fence = lost
    recorder.message("late")
    recorder.write()
    assert written(store).messages == []


def test_long_loss_curves_are_thinned_evenly(store: Store, display: ProgressDisplay) -> None:
    with recording(store, "s", display) as recorder:
        for step in range(1, 10 * MAX_LOSSES):
            display.update("b", "train", step, 10 * MAX_LOSSES, loss=1.0)
        recorder.write()
        steps = [step for step, _ in written(store).losses["b"]]
    assert len(steps) <= MAX_LOSSES
    assert {b - a for a, b in pairwise(steps)} == {16}


def test_the_graph_has_the_steps_sets_and_cells_of_the_study(store: Store, tmp_path: Path) -> None:
    study = scripted_study(**STUDENTS, budget={"tokens": 1000})
    grid = build(study, tmp_path)
    planned = {key: float(number) for number, key in enumerate(grid.steps)}
    save_study_graph(store, study, tmp_path, grid, planned)
    save_study_graph(store, study, tmp_path, grid)
    found = load_graph(store, "scripted")
    assert found is not None
    assert [(step.key, step.label, step.planned) for step in found.steps] == [
        (key, step.label, planned[key]) for key, step in grid.steps.items()
    ]
    assert (len(found.sets), len(found.cells)) == (len(grid.sets), len(grid.cells))
    assert {key for cell in found.cells for _, key in cell.evaluations} == {
        step.key for cell in grid.cells for _, step in cell.evaluations
    }
    assert found.budget == {"tokens": 1000}
