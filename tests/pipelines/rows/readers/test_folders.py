"""Folders, globs and lists of files as one seed set, saved data sets, and compressed files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.rows.readers import SeedSource, count_rows, find_files, hash_files, iter_seeds, read_seeds


def lines(*texts: str) -> str:
    return "".join(json.dumps({"instruction": text}) + "\n" for text in texts)


def table(*texts: str) -> pa.Table:
    return pa.table({"instruction": [*texts]})


def texts(*paths: Path, split: str | None = None) -> list[str]:
    source = SeedSource(find_files(paths, split))
    rows = read_seeds(source).rows
    assert [row.index for row in rows] == [*range(count_rows(source))]
    return [row.instruction for row in rows]


def told(*paths: Path, split: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        find_files(paths, split)
    return str(caught.value)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    (folder / ".cache").mkdir(parents=True)
    (folder / "README.md").write_text("# A data set")
    (folder / "dataset_info.json").write_text("{}")
    (folder / ".cache" / "old.parquet").write_text("x")
    for number, text in enumerate("abc"):
        pq.write_table(table(text), folder / f"train-0000{number}-of-00003.parquet")
    return folder


def test_a_folder_a_glob_and_a_list_are_one_seed_set_in_sorted_order(shards: Path) -> None:
    files = sorted(shards.glob("*.parquet"))
    assert texts(shards) == texts(shards / "*.parquet") == texts(*reversed(files)) == ["a", "b", "c"]


def test_the_hash_depends_on_contents_and_order_but_not_on_names(tmp_path: Path) -> None:
    for name, text in {"a": "1", "b": "2", "c": "1", "d": "2"}.items():
        (tmp_path / f"{name}.jsonl").write_text(lines(text))
    a, b, c, d = (tmp_path / f"{name}.jsonl" for name in "abcd")
    assert hash_files([a, b]) == hash_files([c, d]) != hash_files([b, a])
    assert hash_files([a]) == hash_files([c])


def test_a_split_of_a_folder_is_chosen(shards: Path) -> None:
    pq.write_table(table("t"), shards / "test-00000-of-00001.parquet")
    assert texts(shards, split="test") == ["t"]
    assert texts(shards, split="train") == ["a", "b", "c"]
    assert told(shards) == f"{shards}: has the splits test, train. Choose one, for example 'split: test'."
    assert told(shards, split="dev") == f"{shards}: has no split 'dev'. Its splits are test, train."


def save(folder: Path, split: str, **shards: list[str]) -> None:
    """Write what `save_to_disk` writes; the order of rows is that of the arguments."""
    folder.mkdir(parents=True)
    for name, rows in shards.items():
        with (
            pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, table("").schema) as writer,
        ):
            writer.write_table(table(*rows))
    state = {"_data_files": [{"filename": f"{name}.arrow"} for name in shards], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_data_set_is_read_in_the_order_of_its_state(tmp_path: Path) -> None:
    save(tmp_path / "all" / "train", "train", second=["a"], first=["b", "c"])
    save(tmp_path / "all" / "test", "test", only=["t"])
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts(tmp_path / "all" / "train") == ["a", "b", "c"]
    assert texts(tmp_path / "all", split="test") == ["t"]
    assert told(tmp_path / "all").endswith("has the splits train, test. Choose one, for example 'split: train'.")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "is a folder without files of seeds"),
        (("a.csv", "b.jsonl"), "is of several formats"),
        (("one/a.jsonl", "two/a.jsonl"), "has files of seeds in several folders: one, two"),
        (("a.jsonl", "b.jsonl.empty"), ""),
    ],
)
def test_a_folder_that_is_no_seed_set_is_refused(tmp_path: Path, names: tuple[str, ...], expected: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(lines("x") if "json" in name else "instruction\nx\n")
    if expected:
        assert expected in told(folder)
    else:
        assert texts(folder) == ["x"]


def test_missing_and_repeated_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines("x"))
    assert told(tmp_path / "*.csv") == f"{tmp_path}/*.csv: no file matches"
    assert told(tmp_path / "a.jsonl", tmp_path / "*.jsonl") == f"{tmp_path}/a.jsonl: is named twice. Name it once."
    assert "which has no split 'x'" in told(tmp_path / "a.jsonl", split="x")
    (tmp_path / "b[1].jsonl").write_text(lines("y"))
    assert texts(tmp_path / "b[1].jsonl") == ["y"]


def test_a_bad_row_is_named_with_its_own_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines("x", "y"))
    (tmp_path / "b.jsonl").write_text(lines("z") + '{"instruction": 3}\n')
    with pytest.raises(InputError, match=r"b\.jsonl:2: instruction: must be text"):
        read_seeds(SeedSource(find_files([tmp_path / "*.jsonl"])))
    (bad,) = read_seeds(SeedSource(find_files([tmp_path / "*.jsonl"])), on_bad_row="quarantine").bad
    assert (bad.index, bad.row, Path(bad.file).name) == (3, 1, "b.jsonl")


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["seeds.jsonl", "seeds.csv", "seeds.json"])
def test_compressed_files_are_read_and_damaged_ones_refused(tmp_path: Path, suffix: str, name: str) -> None:
    many = [f"text {number}" for number in range(2_000)]
    data = {
        "seeds.jsonl": lines(*many),
        "seeds.csv": "instruction\n" + "\n".join(many),
        "seeds.json": json.dumps([{"instruction": text} for text in many]),
    }[name].encode()
    path, packed = tmp_path / f"{name}.{suffix}", PACKERS[suffix](data)
    path.write_bytes(packed)
    assert texts(path) == many
    path.write_bytes(packed[:-5])
    with pytest.raises(InputError, match=r"file is (cut off|damaged)"):
        read_seeds(path, on_bad_row="quarantine")


def test_rows_are_yielded_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(lines("x") + "not JSON\n")
    found = iter_seeds(SeedSource((path,)))
    assert getattr(next(found), "instruction", "") == "x"
    assert getattr(next(found), "reason", "") == "not-json"
    assert next(found, None) is None
