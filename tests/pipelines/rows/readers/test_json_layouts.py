"""JSON files that are objects, and files whose name says another layout of JSON than they have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.rows.readers import SeedRow, SeedSource, count_rows, find_files, read_seeds

ROWS = [{"instruction": f"Say {n}.", "output": str(n)} for n in range(3)]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
SEEDS = [SeedRow(n, f"Say {n}.", "", str(n)) for n in range(3)]


@pytest.mark.parametrize(
    "value",
    [
        {"data": ROWS},
        {"type": "text2text", "instances": ROWS},
        {"train": ROWS, "version": {"a": [1]}},
        {str(n): row for n, row in enumerate(ROWS)},
        COLUMNS,
        {name: dict(enumerate(values)) for name, values in COLUMNS.items()},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_wrapped_rows_are_read(tmp_path: Path, value: Any, indent: int | None) -> None:
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps(value, indent=indent))
    assert read_seeds(path).rows == SEEDS
    assert count_rows(SeedSource(find_files([path]))) == 3


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("seeds.jsonl", json.dumps(ROWS, indent=1), ":1: is a JSON array. Name it .json."),
        ("seeds.jsonl", json.dumps(ROWS), ":1: is a JSON array. Name it .json."),
        (
            "seeds.jsonl",
            "\n".join(json.dumps(row, indent=1) for row in ROWS),
            ":1: has an object that takes several lines."
            " Write each row in one line, or name the file .json if it is one array or object.",
        ),
        (
            "seeds.json",
            LINES,
            ":1: must be a JSON array of objects: [{...}, ...]."
            " A file with one object per line is JSON Lines: name it .jsonl.",
        ),
        (
            "seeds.json",
            '{"messages": [{"role": "user", "content": "x"}]}\n' * 2,
            ":1: must be a JSON array of objects: [{...}, ...]."
            " A file with one object per line is JSON Lines: name it .jsonl.",
        ),
        (
            "seeds.json",
            json.dumps({"train": ROWS, "test": ROWS}),
            ":1: is an object with two lists of objects, 'train' and 'test'. Save one of them as a .json file.",
        ),
        ("seeds.json", json.dumps({"data": ROWS})[:-1], ":1: the file ends inside the object"),
        ("seeds.json", json.dumps({"data": ROWS}) + "\n3", ":2: there is text after the end of the object"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_the_layout_that_was_found_is_named_once(
    refused: Callable[[str, bytes], list[str]], name: str, text: str, told: str
) -> None:
    assert refused(name, text.encode()) == [told]
