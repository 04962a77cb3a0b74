"""The seeds step writes its rows while it reads them, and leaves nothing of a file that is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.execution.steps import seeds as seeds_step
from pipelines.execution.steps.seeds import REPEAT_NOTE, run_seeds
from pipelines.rows.arrow import from_table
from pipelines.rows.readers import BadRow, SeedRow, SeedSource, iter_seeds
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.store.manifest import Manifest
from pipelines.store.partitions import PARTITION_ROWS
from pipelines.store.shards import SHARD_PARTITIONS, partitions_of, read_partition_rows
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from tests.support.studies import scripted_study

SHARD_ROWS = PARTITION_ROWS * SHARD_PARTITIONS
ROWS = 2 * SHARD_ROWS + 5


def write(path: Path, rows: int, bad: tuple[int, ...] = ()) -> Path:
    lines = ("no row" if n in bad else json.dumps({"instruction": f"Count to {n}."}) for n in range(rows))
    path.write_text("\n".join(lines))
    return path


def run(path: Path, store: Store, **seeds: object) -> Manifest:
    study = scripted_study(seeds=[{"name": "own", "file": str(path)} | seeds])
    (step,) = (step for step in build(study, path.parent).steps.values() if step.kind == "seeds")
    return run_seeds(study, path.parent, store, step)


def test_rows_are_written_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, read, written = Store(str(tmp_path / "store")), [0], list[tuple[int, int]]()

    def counted(source: SeedSource) -> Iterator[SeedRow | BadRow]:
        for row in iter_seeds(source):
            read[0] += 1
            yield row

    real = Store.write_table

    def write_table(self: Store, folder: str, name: str, table: object) -> object:
        written.append((read[0], table.num_rows))  # pyright: ignore
        return real(self, folder, name, table)  # pyright: ignore

    monkeypatch.setattr(seeds_step, "iter_seeds", lambda source: (row for row in counted(source)))
    monkeypatch.setattr(Store, "write_table", write_table)
    manifest = run(write(tmp_path / "a.jsonl", ROWS), store)
    assert [entry for entry in written if entry[1]] == [
        (SHARD_ROWS + 1, SHARD_ROWS),
        (2 * SHARD_ROWS + 1, SHARD_ROWS),
        (ROWS, 5),
    ]
    assert (manifest.account.rows_in, manifest.account.rows_out) == (ROWS, ROWS)


def test_order_indices_and_partitions_are_those_of_the_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    manifest = run(write(tmp_path / "a.jsonl", ROWS, bad=(3, SHARD_ROWS)), store, on_bad_row="quarantine")
    rows = from_table(InstructionRow, store.rows("seeds", manifest.key))
    assert [row.index for row in rows] == [n for n in range(ROWS) if n not in (3, SHARD_ROWS)]
    assert rows[3].instruction == "Count to 4."
    assert [row.index for row in from_table(Rejection, store.rows("seeds", manifest.key, "rejected"))] == [
        3,
        SHARD_ROWS,
    ]
    assert partitions_of(store, "seeds", manifest.key) == [*range(2 * SHARD_PARTITIONS + 1)]
    assert (manifest.account.rows_in, manifest.account.rejected) == (ROWS, 2)


def test_a_refused_file_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    with pytest.raises(InputError) as caught:
        run(write(tmp_path / "a.jsonl", ROWS, bad=(SHARD_ROWS + 1, SHARD_ROWS + 9)), store)
    assert f"a.jsonl:{SHARD_ROWS + 2}" in str(caught.value)
    assert f"a.jsonl:{SHARD_ROWS + 10}" in str(caught.value)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_the_first_bad_rows_are_named_when_no_row_is_good(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and more") as caught:
        run(write(tmp_path / "a.jsonl", 30, bad=tuple(range(30))), Store(str(tmp_path)), on_bad_row="quarantine")
    assert "a.jsonl:20" in str(caught.value)
    assert "a.jsonl:21" not in str(caught.value)


def test_a_shorter_seed_set_has_no_rows_in_later_partitions(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    manifest = run(write(tmp_path / "a.jsonl", 5), store)
    assert [row.index for row in read_partition_rows(store, "seeds", manifest.key, 0)] == [*range(5)]
    assert read_partition_rows(store, "seeds", manifest.key, 3 * SHARD_PARTITIONS) == []


def repeated(path: Path) -> Path:
    rows = [
        {"instruction": "Add.", "input": "1 + 1", "output": "2"},
        {"instruction": "Add.", "input": "2 + 2", "output": "4"},
        {"instruction": "Add.", "input": "1 + 1", "output": "two"},
        {"instruction": "Add.", "input": "1 + 1", "output": "2", "system": "Be brief."},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_repeated_seeds_are_counted_and_kept(tmp_path: Path) -> None:
    manifest = run(repeated(tmp_path / "a.jsonl"), Store(str(tmp_path / "store")))
    assert manifest.notes == {REPEAT_NOTE: 1}
    assert manifest.account.rows_out == 4


def test_repeated_seeds_are_rejected_if_asked_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    manifest = run(repeated(tmp_path / "a.jsonl"), store, deduplicate="exact")
    assert manifest.notes == {}
    assert manifest.account.reasons == {"duplicate": 1}
    rows = from_table(InstructionRow, store.rows("seeds", manifest.key))
    assert [row.index for row in rows] == [0, 1, 3]


def words(start: int, count: int) -> str:
    return " ".join(f"word{n}" for n in range(start, start + count))


def test_near_duplicates_are_rejected_with_the_earlier_row(tmp_path: Path) -> None:
    texts = [
        words(0, 100),
        words(500, 100),
        "Add 1 + 1",
        words(0, 99) + " Other",  # 95 of 97 5-grams
        words(0, 60) + " " + words(900, 40),
        "Add 1 - 1",
        "add 1 + 1",
        words(500, 98).upper(),
        "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u5427",
        "\u660e\u5929\u5929\u6c14\u4e0d\u597d\uff0c\u6211\u4eec\u5728\u5bb6\u91cc\u5427",
    ]
    path, store = tmp_path / "a.jsonl", Store(str(tmp_path / "store"))
    path.write_text("".join(json.dumps({"instruction": text}) + "\n" for text in texts))
    manifest = run(path, store, deduplicate="near")
    rows = from_table(InstructionRow, store.rows("seeds", manifest.key))
    assert [row.index for row in rows] == [0, 1, 2, 4, 5, 8, 9]
    rejected = from_table(Rejection, store.rows("seeds", manifest.key, "rejected"))
    assert [(row.index, row.reason) for row in rejected] == [(n, "near_duplicate") for n in (3, 6, 7)]
    for row, earlier in zip(rejected, (0, 2, 1), strict=True):
        (kept,) = (one for one in rows if one.index == earlier)
        assert row.detail.endswith(f"are those of row {earlier} (from 0; id {kept.id})")
