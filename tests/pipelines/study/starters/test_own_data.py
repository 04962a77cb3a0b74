"""Which columns of a user's file are taken for what, in every format, and what cannot be used."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.study.starters.own_data import inspect_data

Rows = Sequence[Mapping[str, Any]]
KNOWN: Rows = [{"id": "1", "Question": "Name two birds.", "context": "", "answer": "An owl and a wren."}] * 3
ODD: Rows = [
    {"id": "a1", "the task": "Name two birds.", "remark": "rather easy"},
    {"id": "a2", "the task": "Add one and two."},
]
TURNS = [{"role": "user", "content": "Name two birds."}, {"role": "assistant", "content": "An owl and a wren."}]


def csv_text(rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), buffer)  # pyright: ignore[reportUnknownMemberType]
    return buffer.getvalue()


def columns(rows: Rows) -> bytes:
    return json.dumps({name: [row.get(name) for row in rows] for name in rows[0]}).encode()


FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "rows.csv": csv_text,
    "rows.jsonl": lines,
    "rows.json": lambda rows: json.dumps(rows).encode(),
    "columns.json": columns,
    "rows.parquet": parquet,
    "rows.csv.gz": lambda rows: gzip.compress(csv_text(rows)),
    "rows.jsonl.gz": lambda rows: gzip.compress(lines(rows)),
}


@pytest.fixture(params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Rows], Path]:
    def write(rows: Rows) -> Path:
        path = tmp_path / request.param
        path.write_bytes(FORMATS[request.param](rows))
        return path

    return write


def test_usual_names_need_no_mapping(written: Callable[[Rows], Path]) -> None:
    found = inspect_data(written(KNOWN))
    assert (found.rows, dict(found.mapping)) == (3, {})
    assert dict(found.fields) == {"instruction": "Question", "input": "context", "output": "answer"}
    assert found.unused == ("id",) and found.has_answers


def test_an_unusual_name_is_guessed_and_mapped(written: Callable[[Rows], Path]) -> None:
    found = inspect_data(written(ODD))
    assert found.rows == 2
    assert dict(found.mapping) == {"instruction": "the task"}
    assert "id" in found.unused and not found.has_answers


def test_the_most_usual_of_two_names_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    path.write_bytes(lines([{"prompt": "Say it.", "instruction": "Name two birds."}] * 2))
    assert dict(inspect_data(path).mapping) == {"instruction": "instruction"}


@pytest.mark.parametrize(("name", "mapped"), [("messages", {}), ("talk", {"messages": "talk"})])
def test_conversations_are_found(tmp_path: Path, name: str, mapped: dict[str, str]) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(lines([{"id": "1", name: TURNS}] * 2))
    found = inspect_data(path)
    assert found.fields["messages"] == name
    assert dict(found.mapping) == mapped


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.csv", b"", "is empty"),
        ("header.csv", b"instruction,output\n", "no rows"),
        ("numbers.csv", b"a,b\n1,2\n3,4\n", "the columns are a, b"),
        (
            "latin.csv",
            "Frage;Antwort\nWie heißt du?;Bob\n".encode("latin-1"),
            "latin.csv:2: .* not UTF-8. Save the file as",
        ),
        ("cells.csv", b"text\nName two birds, or three\n", "cells.csv:2: the row has 2 cells; the header has 1"),
        ("words.txt", b"Name two birds.\n", "not a format"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        inspect_data(path)
