"""A store is verified by its hashes, and loses only what no study needs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.execution.runner import run
from pipelines.results.sql import open_sql_tables, table_names
from pipelines.store.lease import acquire
from pipelines.store.maintenance.garbage import find_garbage, remove_garbage
from pipelines.store.maintenance.verify import verify
from pipelines.store.partitions import PartitionRows, write_partition
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.file.load import load
from pipelines.study.graph.steps.grid import Grid
from tests.support.studies import scripted_study


@pytest.fixture
def ran(finished_store: tuple[Store, Grid]) -> tuple[Store, Grid]:
    store, grid = finished_store
    save_step_index(store, "scripted", grid.steps)
    return store, grid


def shards(store: Store, kind: str) -> list[Path]:
    return sorted(Path(store.root, "steps", kind).glob("*/rows-*.parquet"))


def test_an_untouched_store_verifies(ran: tuple[Store, Grid]) -> None:
    found = list(verify(ran[0]))
    assert len(found) == len(ran[1].steps) and not any(one.problems for one in found)
    assert all(one.bytes > 0 and one.label for one in found)


def test_a_changed_a_cut_and_a_missing_file_are_each_told_by_step_and_name(ran: tuple[Store, Grid]) -> None:
    changed, cut, missing = shards(ran[0], "respond")[:3]
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-3])
    missing.unlink()
    told = {one.key: one.problems for one in verify(ran[0]) if one.problems}
    assert told[changed.parent.name] == ("rows-00000.parquet was changed after it was written",)
    assert "bytes instead of" in told[cut.parent.name][0]
    assert told[missing.parent.name] == ("rows-00000.parquet is missing",) and len(told) == 3


def test_columns_are_those_that_the_manifest_tells_and_an_older_one_tells_none(ran: tuple[Store, Grid]) -> None:
    store, (wrong, old) = ran[0], [path.parent.name for path in shards(ran[0], "respond")[:2]]
    for key, schemas in ((wrong, {"rows": {"id": "string"}}), (old, None)):
        path = Path(store.folder("respond", key), "manifest.json")
        manifest = json.loads(path.read_text())
        assert manifest["schemas"]["rows"]["index"] == "int64" and "reason" in manifest["schemas"]["rejected"]
        del manifest["schemas"]
        path.write_text(json.dumps(manifest | ({"schemas": schemas} if schemas else {})))
    told = {one.key: one.problems for one in verify(store) if one.problems}
    assert told == {wrong: ("rows-00000.parquet has other columns than manifest.json lists",)}


def test_a_manifest_that_can_not_be_read_is_a_broken_step(ran: tuple[Store, Grid]) -> None:
    path = shards(ran[0], "score")[0].with_name("manifest.json")
    path.write_text("{")
    (found,) = (one for one in verify(ran[0]) if one.problems)
    assert found.key == path.parent.name and "manifest.json cannot be read" in found.problems[0]


def test_nothing_goes_that_a_study_has(ran: tuple[Store, Grid]) -> None:
    assert list(find_garbage(ran[0])) == []


def test_steps_of_a_changed_study_and_leftovers_go_and_all_else_stays(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    kept = {key for key, step in grid.steps.items() if step.kind != "score"}
    save_step_index(store, "scripted", kept)
    (finished, *_) = (step for step in grid.steps.values() if step.kind == "respond")
    write_partition(store, "respond", finished.key, 0, PartitionRows([], []))
    checkpoints = Path(store.staging_path("respond", finished.key, "model.another"), "checkpoints")
    checkpoints.mkdir(parents=True)
    Path(store.folder("evolve", "abandoned"), "parts").mkdir(parents=True)
    found = list(find_garbage(store))
    assert {one.reason for one in found} == {
        "no study has this step",
        "left beside a finished step",
        "unfinished, and no study has it",
    }
    for one in found:
        remove_garbage(store, one)
    assert store.finished_keys() == kept and list(find_garbage(store)) == [] and not checkpoints.exists()
    assert not any(one.problems for one in verify(store))


def test_a_study_whose_steps_another_one_has_finished_has_them_too(ran: tuple[Store, Grid], tmp_path: Path) -> None:
    store, _ = ran
    save_step_index(store, "scripted", [])
    twin = scripted_study(study="twin", responses={"teachers": ["small"]})
    (tmp_path / "twin.yaml").write_text(json.dumps(twin.model_dump(exclude_defaults=True)))
    for damage in (lambda: None, lambda: store.write_bytes(f"{store.root}/studies/twin/steps.json", b"[")):
        damage()
        summary = run(load(tmp_path / "twin.yaml"), store, None, Console(file=io.StringIO()))
        assert summary.executed == 0 and list(find_garbage(store)) == []


def test_what_a_driver_is_running_stays(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    save_step_index(store, "scripted", [])
    with acquire(store, "another", grid.steps, lambda told: None):
        assert list(find_garbage(store)) == []
    assert len(list(find_garbage(store))) == len(grid.steps)


def test_steps_rows_and_rejections_are_tables(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    connection = open_sql_tables(store)
    assert connection.sql("SELECT count(*) FROM steps").fetchall() == [(len(grid.steps),)]
    sums = "SELECT kind, sum(rows_out) FROM steps GROUP BY kind"
    for kind, rows in connection.sql(sums).fetchall():
        assert connection.sql(f'SELECT count(*) FROM "{kind}"').fetchall() == [(rows,)]
    joined = "SELECT DISTINCT s.label FROM respond r JOIN steps s ON s.key = r.step JOIN members USING (key)"
    labels = {label for (label,) in connection.sql(joined).fetchall()}
    assert labels == {step.label for step in grid.steps.values() if step.kind == "respond"}
    assert {"steps", "reasons", "members", "rejected", "evaluate"} <= set(table_names(connection))
    assert connection.sql("SELECT * FROM evaluate").fetchall() == []


def test_an_empty_store_is_an_empty_catalog(tmp_path: Path) -> None:
    assert open_sql_tables(Store(str(tmp_path))).sql("SELECT * FROM steps").fetchall() == []
