"""The log of finished steps says what manifests say, without reading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.execution.runtime.commit import commit_rows
from pipelines.planning.plan import make_plan
from pipelines.store.errors import LeaseLost
from pipelines.store.lease import acquire
from pipelines.store.store import Store
from pipelines.store.studies import finished_log
from pipelines.store.studies.finished_log import (
    FinishedLog,
    finished_steps,
    finished_while_running,
    logging_finished,
    read_log,
)
from pipelines.study.graph.steps.step import Step
from tests.support.studies import scripted_study


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def steps(store: Store) -> list[Step]:
    return [*make_plan(scripted_study(), Path(), store).pending_of("evolve")]


def finish(store: Store, step: Step, seconds: float = 1.0) -> None:
    commit_rows(store, step, [], [], 0, seconds)


def kinds(steps: list[Step]) -> dict[str, str]:
    return {step.key: step.kind for step in steps}


def test_steps_finished_before_and_during_a_run_are_read_from_the_log(
    store: Store, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store, steps[0], 3.0)
    with logging_finished(store, "s", [steps[0].key], kinds(steps)):
        finish(store, steps[1], 5.0)
    finish(store, steps[2], 7.0)  # by another study, after the run
    from_manifests = finished_steps(store, "other", kinds(steps[:3]))
    monkeypatch.setattr(Store, "manifest", lambda *_: pytest.fail("a manifest was read"))
    assert read_log(store, "s") == {key: from_manifests[key] for key in (steps[0].key, steps[1].key)}
    assert [one.seconds for one in finished_steps(store, "s", kinds(steps[:2])).values()] == [3.0, 5.0]
    with pytest.raises(pytest.fail.Exception):
        finished_steps(store, "s", kinds(steps[:3]))


def test_an_invalidated_step_leaves_the_log(store: Store, steps: list[Step]) -> None:
    finish(store, steps[0])
    with logging_finished(store, "s", [steps[0].key], kinds(steps)):
        store.invalidate(steps[0].kind, steps[0].key)
        finish(store, steps[1])
    assert set(read_log(store, "s") or ()) == {steps[1].key}


def test_many_files_are_merged(store: Store, steps: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_log, "MAX_FILES", 2)
    for step in steps:
        finish(store, step)
    log = FinishedLog(store, "s", {})
    for step in steps:
        log.finished(store.manifest(step.kind, step.key))
        log.close()  # writes what is new
    assert set(read_log(store, "s") or ()) == {step.key for step in steps}
    assert len([*Path(store.root, "studies", "s", "finished").iterdir()]) <= 2


def test_a_driver_that_was_replaced_writes_nothing(store: Store, steps: list[Step]) -> None:
    finish(store, steps[0])
    log = FinishedLog(store, "s", {})

    def lost() -> None:
        raise LeaseLost("another driver")

    store.fence = lost
    log.finished(store.manifest(steps[0].kind, steps[0].key))
    log.close()
    assert read_log(store, "s") is None


def test_only_a_running_study_is_read_from_its_log_alone(store: Store, steps: list[Step]) -> None:
    finish(store, steps[0])
    assert finished_while_running(store, "s") is None
    with acquire(store, "s", {steps[1].key}, print):
        assert finished_while_running(store, "s") is None  # it has logged nothing yet
        with logging_finished(store, "s", [steps[0].key], kinds(steps)):
            assert finished_while_running(store, "s") == {steps[0].key}
    assert finished_while_running(store, "s") is None
