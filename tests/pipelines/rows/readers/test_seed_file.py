"""Files as a whole: names, zipping, limits, accounting, and the real Alpaca file."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.rows.readers import find_files, hash_files, read_seeds

GOOD = b'{"instruction": "ok"}\n'
BAD = b'{"instruction": 1}\n'


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("seeds.jsonl", b"", ": is empty"),
        ("seeds.jsonl", b"\xef\xbb\xbf\n \n", ": contains no rows"),
        ("seeds.jsonl", "{}".encode("utf-16"), ": is UTF-16 or UTF-32. Save it as UTF-8."),
        ("seeds.jsonl", gzip.compress(GOOD, mtime=0), ": is a gzip file whose name does not end in .gz. Rename it."),
        ("seeds.jsonl.gz", GOOD, ": not a valid gzip file: Not a gzipped file (b'{\"'). Fetch or write it again."),
        (
            "seeds.jsonl.gz",
            gzip.compress(GOOD * 100, mtime=0)[:-9],
            ": the gzip file is cut off before its end. Fetch or write it again.",
        ),
        (
            "seeds.csv.gz",
            gzip.compress(b"instruction\n" + b"a\n" * 99, mtime=0)[:-1],
            ": the gzip file is cut off before its end. Fetch or write it again.",
        ),
        (
            "seeds.json.gz",
            gzip.compress(b"[" + GOOD + b"]", mtime=0)[:-12],
            ": the gzip file is cut off before its end. Fetch or write it again.",
        ),
        (
            "seeds.parquet.gz",
            GOOD,
            ": zipped Parquet is not supported. Unzip the file; it can be compressed inside.",
        ),
        (
            "seeds.txt",
            GOOD,
            ": '.txt' is not a format of seeds."
            " Use .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .arrow; all but Parquet and Arrow"
            " also as .gz, .zst, .xz, .bz2.",
        ),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_file_that_cannot_be_read_is_refused(
    refused: Callable[[str, bytes], list[str]], name: str, data: bytes, expected: str
) -> None:
    assert refused(name, data) == [expected]


def test_a_gzip_file_damaged_in_the_middle_is_refused(refused: Callable[[str, bytes], list[str]]) -> None:
    whole = bytearray(gzip.compress(os.urandom(50_000).hex().encode(), mtime=0))
    whole[100:120] = b"\xff" * 20
    (found,) = refused("seeds.jsonl.gz", bytes(whole))
    assert found.startswith((": the gzip file is damaged", ": not a valid gzip file", ":1: "))


def test_missing_files_folders_and_devices_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, expected in (
        ("none.jsonl", "no such file"),
        ("", "is a folder without files of seeds"),
        ("pipe.jsonl", "is not a regular file"),
        ("n" * 300 + ".jsonl", "cannot be read: [Errno 36] File name too long"),
    ):
        with pytest.raises(InputError, match=expected.replace("[", r"\[")):
            read_seeds(tmp_path / name)
        with pytest.raises(InputError, match=expected.replace("[", r"\[")):
            find_files([tmp_path / name])


def test_good_and_bad_rows_together_are_all_rows_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(GOOD + BAD + b"\n" + GOOD + BAD + GOOD)
    read = read_seeds(path, limit=3, on_bad_row="quarantine")
    assert [row.index for row in read.rows] == [0, 2]
    assert [(row.index, row.line) for row in read.bad] == [(1, 2)]


def test_a_bad_row_behind_the_limit_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(GOOD * 2 + BAD)
    assert len(read_seeds(path, limit=2).rows) == 2


def test_the_hash_is_of_the_whole_file_as_it_lies_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD * 1_000))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_seeds(path, limit=1).sha256 == digest == hash_files([path])


def test_a_file_without_a_good_row_is_refused_even_when_bad_rows_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(BAD * 3)
    with pytest.raises(InputErrors) as caught:
        read_seeds(path, on_bad_row="quarantine")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_of_very_many_bad_rows_the_first_twenty_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(GOOD + BAD * 10_000)
    with pytest.raises(InputErrors) as caught:
        read_seeds(path)
    shown = str(caught.value).splitlines()
    assert (len(shown), shown[-1]) == (21, "... and more")


def test_the_real_alpaca_file_has_its_52002_rows_and_none_is_bad(shared_data: Path) -> None:
    read = read_seeds(shared_data / "alpaca" / "alpaca_data.jsonl.gz", on_bad_row="quarantine")
    assert (len(read.rows), len(read.bad)) == (52_002, 0)
    assert read.rows[0].instruction == "Give three tips for staying healthy."
    assert [row.index for row in read.rows] == list(range(52_002))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("gsm8k/train.jsonl.gz", 7_473),
        ("alpaca_selected/cherry_alpaca_5_percent.json.gz", 3_111),
        ("evolved/evol-codealpaca-2k-1.json.gz", 1_966),
    ],
)
def test_real_files_of_other_shapes_are_read_without_a_bad_row(shared_data: Path, name: str, rows: int) -> None:
    assert len(read_seeds(shared_data / name).rows) == rows
