"""Steps appear whole or not at all, their parts become the same shards, and every row is accounted for."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from cluster.filesystems import file_system
from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.rows.arrow import from_table
from pipelines.rows.types import PairRow, Rejection, ResponseRow
from pipelines.store.errors import CorruptStore, LeaseLost
from pipelines.store.manifest import Account
from pipelines.store.partitions import PartitionRows, find_partitions, read_partition, write_partition
from pipelines.store.shards import partitions_of, read_partition_rows, write_shards
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.measures import ScoreParams
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import Step, identify, make_step


def response(index: int, text: str = "yes") -> ResponseRow:
    return ResponseRow(f"{index:032x}", "p", "s", index, "Ask.", "", text, "stop", 3, 1)


def rejection(index: int, reason: str = "empty") -> Rejection:
    return Rejection(f"{index:032x}", "p", "s", index, "rejected", reason, "", "")


def step(kind: str = "respond") -> Step:
    return make_step(identify(STEP_PARAMS[kind], {"x": 1}), "test", ScoreParams("m"), ())  # type: ignore[arg-type]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def test_a_committed_step_can_be_read_back(store: Store) -> None:
    rows = [response(index, "Grüße 🌍") for index in range(5)]
    commit_rows(store, step(), [*rows], [rejection(7)], 6, 1.0)
    assert store.finished_keys() == {step().key}
    assert from_table(ResponseRow, store.rows("respond", step().key)) == rows
    manifest = store.manifest("respond", step().key)
    assert manifest.account == Account(rows_in=6, rows_out=5, rejected=1, reasons={"empty": 1})
    assert manifest.payload["x"] == 1


def test_rows_that_do_not_add_up_are_never_committed(store: Store) -> None:
    with pytest.raises(CorruptStore, match="row count mismatch: 7 in, 5 out"):
        commit_rows(store, step(), [response(index) for index in range(5)], [rejection(9)], 7, 1.0)
    assert store.finished_keys() == frozenset()


def test_a_step_that_another_run_has_committed_keeps_its_manifest(store: Store) -> None:
    first = commit_rows(store, step(), [response(1)], [], 1, 1.0)
    with pytest.raises(LeaseLost, match=f"respond/{step().key} was finished by another run"):
        commit_rows(store, step(), [response(1)], [], 1, 2.0)
    assert store.manifest("respond", step().key) == first
    store.invalidate("respond", step().key)
    assert commit_rows(store, step(), [response(1)], [], 1, 3.0).seconds == 3.0


def test_parts_in_any_order_give_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "other"))
    units = {0: [response(3), response(1), response(2)], 2: [response(600)], 35: [response(9000)]}
    for unit, rows in units.items():
        write_partition(store, "respond", step().key, unit, PartitionRows(rows, []))
    for unit, rows in reversed(units.items()):
        write_partition(other, "respond", step().key, unit, PartitionRows(rows[::-1], []))
    first, account = write_shards(store, "respond", step().key, 5)
    second, _ = write_shards(other, "respond", step().key, 5)
    assert first == second
    assert [shard.file for shard in first if shard.rows] == ["rows-00000.parquet", "rows-00001.parquet"]
    assert account.rows_out == 5


def test_the_part_of_the_newest_run_stands(store: Store) -> None:
    for epoch, text in ((2, "new"), (1, "old, and late"), (10, "newest")):
        done = PartitionRows([response(1, text)], [rejection(2)] if epoch == 2 else [])
        write_partition(Store(store.url, epoch), "respond", step().key, 0, done)
    (part,) = find_partitions(store, "respond", step().key).values()
    assert part.epoch == 10
    assert read_partition(store, "respond", part) == PartitionRows([response(1, "newest")], [])


def test_a_part_without_its_rows_is_none(store: Store) -> None:
    write_partition(store, "respond", step().key, 0, PartitionRows([response(1)], [rejection(2)]))
    store.fs.rm(find_partitions(store, "respond", step().key)[0].rows)
    assert find_partitions(store, "respond", step().key) == {}


def test_a_part_that_can_not_be_read_is_removed(store: Store) -> None:
    write_partition(store, "respond", step().key, 0, PartitionRows([response(1)], []))
    path = find_partitions(store, "respond", step().key)[0].rows
    store.write_bytes(path, store.read_bytes(path)[:-20])
    with pytest.raises(CorruptStore, match=r"is corrupt and was removed .*: run the study again"):
        write_shards(store, "respond", step().key, 1)
    assert find_partitions(store, "respond", step().key) == {}


def test_a_unit_reads_its_own_rows_only(store: Store) -> None:
    commit_rows(store, step(), [response(index) for index in (0, 255, 256, 8192)], [], 4, 1.0)
    assert partitions_of(store, "respond", step().key) == [0, 1, 32]
    assert [row.index for row in read_partition_rows(store, "respond", step().key, 0)] == [0, 255]
    assert [row.index for row in read_partition_rows(store, "respond", step().key, 32)] == [8192]


def test_committing_removes_the_parts(store: Store) -> None:
    write_partition(store, "respond", step().key, 0, PartitionRows([response(1)], []))
    shards, account = write_shards(store, "respond", step().key, 1)
    commit_step(store, step(), account, shards, 1.0)
    assert store.partition_files("respond", step().key, "*") == []


def test_an_empty_step_keeps_its_schema(store: Store) -> None:
    commit_rows(store, step("select"), [], [], 0, 0.0)
    assert store.rows("select", step("select").key).column_names == list(PairRow.__dataclass_fields__)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/x", "s3"), ("gs://b/x", "gcs")])
def test_a_store_whose_package_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    for protocol, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)  # imported before
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=re.escape(f"the store {url} needs a package that is not installed")) as raised:
        Store(url)
    assert str(raised.value).endswith(f"on every node: pip install 'evolgrid[{extra}]'")


def test_a_store_of_an_unknown_protocol_is_a_mistake() -> None:
    with pytest.raises(InputError, match=r"the store foo://x cannot be used: Protocol not known: foo\. Give a folder"):
        Store("foo://x")


def test_a_folder_of_a_step_is_fetched_to_where_something_is(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "README.md").write_text("old")
    store.write_bytes(f"{store.folder('train', 'k')}/model/adapter/weights", b"1")
    store.fetch("train", "k", "model", target)
    assert {str(path.relative_to(target)) for path in target.rglob("*")} == {"README.md", "adapter", "adapter/weights"}


def taken_over() -> None:
    raise LeaseLost("taken over")


def put(url: str, name: str, text: str = "") -> None:
    fs, path = file_system(url)
    fs.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
    fs.pipe_file(f"{path}/{name}", text.encode())


def test_unfinished_work_of_an_earlier_run_is_taken_over_and_goes_with_the_commit(store: Store) -> None:
    key, zombie, later = step("train").key, Store(store.url, 1), Store(store.url, 2)
    before = zombie.staging_path("train", key, "model.x")
    put(before, "checkpoints/3")
    aside = later.staging_path("train", key, "model.x")
    put(before, "checkpoints/4")  # the zombie writes on
    fs, mine = file_system(aside)
    assert [path.removeprefix(mine) for path in fs.find(mine)] == ["/checkpoints/3"]
    assert later.staging_path("train", key, "model.x") == aside
    put(aside, "student-0/weights")
    for _ in range(2):  # a run was killed after the first time
        later.promote("train", key, "model", f"{aside}/student-0")
        (shard,) = later.files("train", key, "model")
        assert (shard.file, fs.find(f"{mine}/student-0")) == ("model/weights", [])
        put(aside, "student-0/weights")
    assert fs.find(mine), "checkpoints stay until the commit"
    commit_step(later, step("train"), Account(rows_in=1, rows_out=1), (shard,), 1.0)
    assert not fs.find(mine) and later.stale_files() == [] and later.files("train", key, "model") == (shard,)


def test_a_zombie_neither_replaces_nor_removes_what_was_trained_after_it(store: Store) -> None:
    key, zombie, later = step("train").key, Store(store.url, 1), Store(store.url, 2)
    late = zombie.staging_path("train", key, "model.x")
    aside = later.staging_path("train", key, "model.x")
    for url in (aside, late):
        put(url, "student-0/weights", url)
    later.promote("train", key, "model", f"{aside}/student-0")
    before = later.files("train", key, "model")
    zombie.fence = taken_over
    for act in (
        lambda: zombie.promote("train", key, "model", f"{late}/student-0"),
        lambda: zombie.staging_path("train", key, "model.x"),
    ):
        with pytest.raises(LeaseLost):
            act()
    assert later.files("train", key, "model") == before
