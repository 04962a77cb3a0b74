"""The states of studies and steps: before, during and after a run, and in damaged or old stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.execution.live_recorder import LiveRecorder
from pipelines.store.lease import acquire, read_lease
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.step import Step
from pipelines.ui.reading import reader as reading
from pipelines.ui.server import check_exists
from tests.pipelines.ui.conftest import PageClient, client_of, progress, unlog


@pytest.fixture(autouse=True)
def read_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FRESH_SECONDS", 0.0)


@pytest.fixture
def last(grid: Grid) -> Step:
    return [step for step in grid.steps.values() if step.kind == "evaluate"][-1]


def step_of(page: PageClient, key: str) -> dict[str, object]:
    return next(one for one in page.get("steps")["steps"] if one["key"] == key)


def test_a_store_without_studies_is_empty(tmp_path: Path) -> None:
    assert client_of(Store(str(tmp_path))).get("/api/studies").json()["studies"] == []


def test_a_missing_store_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no store at .*nowhere\. Run a study first"):
        check_exists(Store(str(tmp_path / "nowhere")))


def test_a_study_that_does_not_run_is_unfinished(page: PageClient, last: Step) -> None:
    found = page.get("overview")
    assert (found["status"], found["total"] - found["done"]) == ("unfinished", 1)
    assert step_of(page, last.key)["state"] == "waiting"
    by_kind = {one["kind"]: one for one in found["kinds"]}
    assert by_kind["evaluate"]["states"]["finished"] == by_kind["evaluate"]["steps"] - 1
    assert by_kind["train"]["sources"] == ["select"]


def test_a_running_study_shows_its_progress(page: PageClient, store: Store, recorder: LiveRecorder, last: Step) -> None:
    with acquire(store, "scripted", [last.key], print):
        progress(recorder, last)
        unlog(store, last)
        found, step = page.get("overview"), step_of(page, last.key)
        engine = page.get("engines")["engines"][0]
        assert found["status"] == "running"
        assert (step["state"], step["done"], step["total"], step["rate"], step["eta"]) == ("running", 3, 10, 0.5, 14)
        assert (engine["name"], engine["queued"], engine["crashes"], engine["active"]) == ("small", 7, 1, True)
        assert page.get("logs")["messages"][0]["text"] == "small: a replica crashed, restarting"
    assert page.get("overview")["status"] == "unfinished"


def test_a_killed_run_is_stopped_not_running(
    page: PageClient, store: Store, recorder: LiveRecorder, last: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acquire(store, "scripted", [last.key], print):
        progress(recorder, last)
        lease = read_lease(store, "scripted")
        assert lease is not None
        path = Path(store.root) / "studies" / "scripted" / "lease.json"
        path.write_text(lease.model_copy(update={"pid": 2**22 + 1}).model_dump_json())
        found, step = page.get("overview"), step_of(page, last.key)
        assert found["status"] == "stopped" and found["at"] and "eta" not in found
        assert (step["state"], step["rate"]) == ("partial", 0.0)


def test_a_driver_elsewhere_without_heartbeats_is_stopped(
    page: PageClient, store: Store, last: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acquire(store, "scripted", [last.key], print) as held:
        path = Path(store.root) / "studies" / "scripted" / "lease.json"
        path.write_text(held.record.model_copy(update={"host": "elsewhere"}).model_dump_json())
        assert page.get("overview")["status"] == "running"
        monkeypatch.setattr(reading, "LEASE_TIMEOUT", 0.0)
        assert page.get("overview")["status"] == "stopped"
        held.heartbeat_count += 1
        Path(f"{path}.{held.record.token}").write_bytes(b"2")
        assert page.get("overview")["status"] == "running"


def test_failed_steps_say_why(page: PageClient, recorder: LiveRecorder, last: Step) -> None:
    from pipelines.execution.runtime.progress import ProgressUpdate

    recorder.observe(ProgressUpdate(last.key, finished=True, failure="out of memory"))
    recorder.end("finished")
    found = page.get("overview")
    assert found["status"] == "failed"
    assert found["failures"] == [{"key": last.key, "label": last.label, "why": "out of memory"}]
    assert page.get("step", key=last.key)["failure"] == "out of memory"


def test_a_store_without_saved_graphs_is_read_from_its_manifests(page: PageClient, store: Store, last: Step) -> None:
    (Path(store.root) / "studies" / "scripted" / "graph.json").unlink()
    found = page.get("steps")["steps"]
    assert {one["label"] for one in found if one["kind"] == ""} == {f"unknown step {last.key[:8]}"}
    assert all(found[place]["key"] for one in found for place in one["inputs"])
    assert page.get("results")["heat"]


def test_a_damaged_file_is_named(page: PageClient, store: Store) -> None:
    (Path(store.root) / "studies" / "scripted" / "live.json").write_text("{")
    status, message = page.error("overview")
    assert status == 500 and "live.json is damaged" in message
    (listed,) = page.client.get("/api/studies").json()["studies"]
    assert listed["status"] == "damaged"


def test_two_studies_share_a_store(page: PageClient, store: Store) -> None:
    folder = Path(store.root) / "studies"
    (folder / "other").mkdir()
    (folder / "other" / "steps.json").write_text(json.dumps([]))
    found = page.client.get("/api/studies").json()["studies"]
    assert [one["name"] for one in found] == ["other", "scripted"]


def test_a_change_in_a_study_is_noticed(page: PageClient, recorder: LiveRecorder) -> None:
    before = page.reader.versions()
    assert page.reader.versions() == before
    recorder.write()
    assert page.reader.versions() != before


def test_costs_are_shown_against_plan_and_budget(page: PageClient) -> None:
    found = page.get("costs")
    assert found["spending"]["budget"] == {"tokens": 1000}
    assert {one["kind"] for one in found["kinds"]} >= {"train", "evaluate"}


def test_losses_of_finished_and_running_trainings(
    page: PageClient, store: Store, recorder: LiveRecorder, grid: Grid
) -> None:
    train = next(step for step in grid.steps.values() if step.kind == "train")
    assert page.get("losses")["curves"][0]["points"][0] == [1, 5.0]
    store.invalidate(train.kind, train.key)
    progress(recorder, train)
    first = page.get("losses")["curves"][0]
    assert (first["key"], first["points"], first["done"]) == (train.key, [[3, 1.25]], 3)


def test_events_of_the_log_are_read_from_its_end(page: PageClient, store: Store) -> None:
    folder = Path(store.root) / "studies" / "scripted" / "events"
    folder.mkdir()
    (folder / "1.jsonl").write_text('{"time": "t", "event": "step finished"}\n{"time": "t", "ev')
    assert page.get("logs")["events"] == [{"time": "t", "event": "step finished"}]
