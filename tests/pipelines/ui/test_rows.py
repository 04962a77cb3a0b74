"""The browser of rows: filters, pages, counts, lineage, and hostile texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.rows.types import ResponseRow
from pipelines.store.shards import write_shard
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from tests.pipelines.ui.conftest import PageClient

HOSTILE = "<script>alert(1)</script>\u202e\x00 <img src=x onerror=alert(2)>"


def cells(found: dict[str, list[list[object]]], column: str) -> list[object]:
    place = [one["name"] for one in found["columns"]].index(column) + 2  # pyright: ignore[reportCallIssue, reportArgumentType]
    return [row[place] for row in found["rows"]]


def test_pages_follow_one_another(page: PageClient) -> None:
    first = page.get("rows", kind="respond", limit=30)
    second = page.get("rows", kind="respond", limit=30, offset=30)
    assert len(first["rows"]) == 30 and first["more"]
    assert not {row[1] for row in first["rows"]} & {row[1] for row in second["rows"]}
    assert page.get("count", kind="respond") == {"rows": 200, "total": 200}


def test_rows_can_be_searched_filtered_and_sorted(page: PageClient) -> None:
    text = str(cells(page.get("rows", kind="respond"), "instruction")[0])[:8].upper()
    found = page.get("rows", kind="respond", q=text)
    assert found["rows"] and all(text in str(one).upper() for one in cells(found, "instruction"))
    counted = page.get("count", kind="respond", q=text)
    assert 0 < counted["rows"] < counted["total"]
    some = page.get("rows", kind="respond", f=["index:ge:15", "index:lt:17"], sort="index", down="1", limit=200)
    values = cells(some, "index")
    assert set(values) == {15, 16} and values == sorted(values, reverse=True)  # pyright: ignore[reportArgumentType]


def test_a_row_is_found_by_the_start_of_its_id(page: PageClient) -> None:
    row = page.get("rows", kind="respond")["rows"][7]
    assert page.get("rows", kind="respond", q=row[1][:12].upper())["rows"] == [row]


def test_rows_of_one_step_and_those_not_passed_on(page: PageClient) -> None:
    step = next(one for one in page.get("steps")["steps"] if one["kind"] == "respond")
    found = page.get("rows", kind="respond", step=step["key"], limit=200)
    assert {row[0] for row in found["rows"]} == {step["key"]}
    rejected = page.get("rows", kind="respond", file="rejected")
    assert {"reason", "detail"} <= {one["name"] for one in rejected["columns"]} and rejected["rows"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "train"},
        {"kind": "x'; drop"},
        {"kind": "respond", "sort": 'index" --'},
        {"kind": "respond", "f": 'index" = 1 --:is:1'},
        {"kind": "respond", "f": "index:is:two"},
        {"kind": "respond", "f": "index:like:2"},
        {"kind": "respond", "limit": "-1"},
        {"kind": "respond", "limit": "100000"},
        {"kind": "respond", "q": "x" * 2000},
    ],
)
def test_wrong_parameters_are_explained(page: PageClient, parameters: dict[str, str]) -> None:
    status, message = page.error("rows", **parameters)
    assert status == 400 and len(message) > 20


def test_values_are_bound_not_executed(page: PageClient) -> None:
    assert page.get("rows", kind="respond", q="'; DROP TABLE x; --")["rows"] == []
    assert page.get("rows", kind="respond", f="instruction:is:' OR 1=1 --")["rows"] == []


def test_a_row_has_its_lineage_with_the_words_that_changed(page: PageClient) -> None:
    step = [one for one in page.get("steps")["steps"] if one["kind"] == "score"][-1]
    row = page.get("rows", kind="score", step=step["key"])["rows"][0]
    links = page.get("row", step=row[0], id=row[1])["links"]
    assert [link["kind"] for link in links] == ["seeds", "evolve", "evolve", "respond", "score"]
    assert links[-1]["id"] == row[1]
    kept = [text for change, text in links[1]["changes"] if change != "removed"]
    assert "".join(kept) == dict(links[1]["fields"])["instruction"]


def test_hostile_texts_stay_texts(page: PageClient, store: Store, grid: Grid) -> None:
    step = next(step for step in grid.steps.values() if step.kind == "respond")
    row = ResponseRow("a" * 32, "", "s", 0, "q", "", HOSTILE + "x" * 300_000, "stop", 1, 1)
    folder = Path(store.folder(step.kind, step.key))
    (shard, *_) = write_shard(store, step.kind, step.key, 0, [row], [])
    assert (folder / shard.file).exists()
    answer = page.client.get("/api/studies/scripted/rows", params={"kind": "respond", "step": step.key})
    assert answer.headers["content-type"] == "application/json"
    assert str(cells(answer.json(), "response")[0]).startswith(HOSTILE)
    assert len(answer.content) < 10_000
    (link,) = page.get("row", step=step.key, id="a" * 32)["links"]
    assert len(dict(link["fields"])["response"]) < 101_000
