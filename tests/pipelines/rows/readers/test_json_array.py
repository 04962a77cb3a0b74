"""A JSON array: bad elements are reported one by one. A broken array stops the reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.rows.readers import BadRow, SeedRow, read_seeds

GOOD = b'{"instruction": "ok"}'


def test_bad_elements_are_set_aside_by_their_first_line(set_aside: Callable[[str, bytes], list[BadRow]]) -> None:
    elements = [
        GOOD,
        b'{"instruction": "a\xff"}',
        b'{\n"instruction": "\\udfff"}',
        b'{"instruction": "x", "input": NaN}',
        b'{"instruction": "x", "instruction": "y"}',
        b"[1, 2]",
        b"12",
        b'{"instruction": "' + b"x" * 3_000_000 + b'"}',
        GOOD,
    ]
    found = set_aside("seeds.json", b"\xef\xbb\xbf[\n" + b",\n".join(elements) + b"\n]\n")
    assert [(bad.index, bad.line, bad.field, bad.reason) for bad in found] == [
        (1, 3, None, "invalid-utf8"),
        (2, 4, "instruction", "lone-surrogate"),
        (3, 6, None, "not-a-number"),
        (4, 7, "instruction", "duplicate-key"),
        (5, 8, None, "not-an-object"),
        (6, 9, None, "not-an-object"),
        (7, 10, None, "row-too-large"),
    ]
    assert found[0].raw == '{"instruction": "a\\xff"}'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[" + GOOD + b",\n", ":2: the file ends inside the array"),
        (b"[" + GOOD, ":1: the file ends inside the array"),
        (b"[\n" + GOOD + b',\n{"instruction": "ab', ":3: the file ends inside the array"),
        (b"[\n" + GOOD + b" " + GOOD + b"]", ":2: ',' or ']' is expected after a row"),
        (b"[" + GOOD + b"]\n{}", ":2: there is text after the end of the array"),
        (b"[" + GOOD + b",\n{instruction: 1}]", ":2: not JSON: expecting property name enclosed in double quotes"),
        (b"[" + GOOD + b",]", ":1: not JSON: expecting value"),
        (b"[" * 200_000, ":1: brackets are nested too deep"),
        (
            b'{"a":' * 200_000,
            ":1: brackets are nested too deep",
        ),
        (b"[" + GOOD + b',\n"' + b"x" * 9_000_000, ":2: a string that starts here is larger than 4,000,000 bytes"),
        (b"[ ]", ": contains no rows"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_broken_array_is_refused_under_both_policies(
    refused: Callable[[str, bytes], list[str]], tmp_path: Path, data: bytes, expected: str
) -> None:
    assert refused("seeds.json", data) == [expected]
    with pytest.raises(Exception) as caught:
        read_seeds(tmp_path / "seeds.json", on_bad_row="quarantine")
    assert str(caught.value).endswith(expected)


def test_an_array_of_many_pieces_is_read_whole_and_in_order(tmp_path: Path) -> None:
    rows = [{"instruction": f"{number} é\n", "input": "y" * 900, "output": "\U0001f600"} for number in range(5_000)]
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    assert path.stat().st_size > 4_500_000
    read = read_seeds(path)
    assert read.rows == [
        SeedRow(index, row["instruction"], row["input"], row["output"]) for index, row in enumerate(rows)
    ]


def test_a_limit_leaves_the_rest_of_the_array_unread(tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    path.write_bytes(b"[" + GOOD + b"," + GOOD + b", this is no JSON")
    assert len(read_seeds(path, limit=2).rows) == 2
