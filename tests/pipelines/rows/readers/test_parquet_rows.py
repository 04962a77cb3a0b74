"""Parquet: text columns only, checked value by value; a damaged file is refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.rows.readers import SeedRow, read_seeds
from pipelines.rows.readers.layouts.columns import NO_INSTRUCTION
from pipelines.rows.readers.seed_rows import REMEDIES


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def not_utf8() -> pa.Array:
    offsets = pa.py_buffer(b"".join(number.to_bytes(4, "little") for number in (0, 1, 2)))
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])


def test_rows_are_read_from_every_kind_of_text_column(tmp_path: Path) -> None:
    columns = {
        "id": [1, 2],
        "prompt": pa.array(["a", "e\u0301"]).dictionary_encode(),
        "input": pa.array([None, None], pa.null()),
        "response": pa.array(["x", None], pa.large_string()),
    }
    path = write(tmp_path / "seeds.parquet", columns)
    assert read_seeds(path).rows == [SeedRow(0, "a", "", "x"), SeedRow(1, "e\u0301", "", "")]


def test_bad_rows_are_set_aside_by_their_number(tmp_path: Path) -> None:
    path = write(tmp_path / "seeds.parquet", {"instruction": ["a", None, " ", "\0", "x" * 1_000_001]})
    found = read_seeds(path, on_bad_row="quarantine").bad
    assert [(bad.index, bad.line, bad.field, bad.reason) for bad in found] == [
        (1, None, "instruction", "empty-instruction"),
        (2, None, "instruction", "empty-instruction"),
        (3, None, "instruction", "nul"),
        (4, None, None, "row-too-large"),
    ]


def test_bytes_that_are_not_utf8_are_found_though_arrow_lets_them_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "seeds.parquet", {"instruction": not_utf8()})
    (bad,) = read_seeds(path, on_bad_row="quarantine").bad
    assert (bad.index, bad.field, bad.reason, bad.raw) == (1, "instruction", "invalid-utf8", '{"instruction": "\\xff"}')
    with pytest.raises(InputError) as caught:
        read_seeds(path)
    assert (
        str(caught.value)
        == f"{path}: instruction: row 1 (from 0): the row holds bytes that are not UTF-8. Save the file as UTF-8."
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"instruction": [1, 2]}, f"column 'instruction' has the type int64, not text. {REMEDIES['wrong-type']}"),
        ({"instruction": [b"a"]}, f"column 'instruction' has the type binary, not text. {REMEDIES['wrong-type']}"),
        (
            {"instruction": ["a"], "output": [[1]]},
            f"column 'output' has the type list<element: int64>, not text. {REMEDIES['wrong-type']}",
        ),
        (
            {"q": ["a"]},
            f"among its columns: {NO_INSTRUCTION}; the fields are q. {REMEDIES['missing-instruction']}",
        ),
        ({"instruction": pa.array([], pa.string())}, "contains no rows"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_columns_that_hold_no_text_are_refused(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    path = write(tmp_path / "seeds.parquet", columns)
    with pytest.raises(InputError) as caught:
        read_seeds(path, on_bad_row="quarantine")
    assert str(caught.value) == f"{path}: {expected}"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-20],
        lambda data: data[:2000] + b"\xff" * 100 + data[2100:],
        lambda data: b"PAR1",
    ],
)
def test_a_damaged_file_is_refused(
    refused: Callable[[str, bytes], list[str]], tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    whole = write(tmp_path / "whole.parquet", {"instruction": [f"text {number}" for number in range(1_000)]})
    (found,) = refused("seeds.parquet", spoil(whole.read_bytes()))
    assert found.startswith(": not a readable Parquet file: ")
