"""The search of a study: what the report says of it, also while it runs, and what each decision was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.results.report.collect.search import collect_search
from pipelines.results.report.graph import save_study_graph
from pipelines.store.lease import acquire
from pipelines.store.store import Store
from pipelines.study.search_grid import SearchGrid
from pipelines.ui.reading import reader as reading
from tests.pipelines.execution.search.test_decisions import RUNGS, Killed, Table, run, searched
from tests.pipelines.ui.conftest import HERE, client_of


@pytest.fixture(autouse=True)
def read_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FRESH_SECONDS", 0.0)


def saved(folder: Path, grid: SearchGrid) -> Store:
    store = Store(str(folder))
    save_study_graph(store, grid.study, HERE, grid.grid)
    return store


def read(store: Store) -> dict[str, Any]:
    answer = client_of(store).get("/api/studies/scripted/search")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_finished_search_is_shown_as_in_the_report(tmp_path: Path) -> None:
    grid = searched(**RUNGS)
    store = saved(tmp_path, grid)
    run(grid, store, Table(fails=frozenset({"one"}), misleading=frozenset({0.1})))
    reported = collect_search(grid.study, grid.grid, store)
    found = read(store)["found"]
    assert reported and found["finished"] and found["partial_cost"] == reported.partial_cost
    assert [tuple(one.values()) for one in found["cells"]] == [(*cell[:-1], [*cell.partial]) for cell in reported.cells]
    assert {"trained", "failed", "skipped"} <= {one["state"] for one in found["cells"]}
    for group in found["groups"]:
        assert (group["best"], group["inseparable"]) == ("two", ["two", "five"]) and group["risk"] <= 0.1
        assert group["trained"][0][0] == "two"
    assert [one["state"] for one in found["rungs"]] == ["not trusted", "trusted"]


def test_decisions_say_what_was_new_to_them(tmp_path: Path) -> None:
    grid = searched()
    store = saved(tmp_path, grid)
    made = run(grid, store, Table(fails=frozenset({"five"})))
    told = read(store)["found"]["decisions"]
    assert [(one["number"], one["reason"]) for one in told] == [(one.number, one.reason) for one in made]
    assert told[0]["scores"] == [] and told[0]["room"] == 2
    new = [(one["student"], one["arm"], one["value"]) for step in told for one in step["scores"]]
    assert len({*new}) == len(new) and {*new} >= {(one.student, one.arm, one.value) for one in made[-1].scores}
    assert [text for step in told for text in step["failed"]] == [one.text for one in made[-1].failed]
    assert all(one["risks"] for one in told)


def test_a_search_is_followed_from_its_plan_to_its_end(tmp_path: Path) -> None:
    grid = searched()
    store, lab = saved(tmp_path, grid), Table(killed_at=4)
    page = client_of(store)
    reader = reading.StoreReader(store)
    assert page.get("/api/studies").json()["studies"][0]["search"]
    assert read(store)["found"] is None and len(read(store)["settings"]["cells"]) == 12
    with acquire(store, "scripted", [], print):
        before = reader.versions()
        with pytest.raises(Killed):
            run(grid, store, lab)
        assert reader.versions() != before
        shown = read(store)
        assert shown["running"] and not shown["found"]["finished"]
        assert "training" in {one["state"] for one in shown["found"]["cells"]}
    run(grid, store, Table(lab.trained))
    assert not read(store)["running"] and read(store)["found"]["finished"]


def test_a_study_without_a_search_says_so(trained_folder: Path) -> None:
    store = Store(str(trained_folder))
    assert not client_of(store).get("/api/studies").json()["studies"][0]["search"]
    assert read(store) == {"running": False, "settings": None, "found": None}


def test_a_damaged_decision_is_named(tmp_path: Path) -> None:
    grid = searched()
    store = saved(tmp_path, grid)
    run(grid, store, Table())
    (tmp_path / "studies" / "scripted" / "search" / "00001.json").write_text("{")
    answer = client_of(store).get("/api/studies/scripted/search")
    assert answer.status_code == 500 and "00001.json is damaged" in answer.json()["error"]
