"""Whatever text a row holds, it comes out of a file as it went in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows.readers import read_seeds

FIELDS = ("instruction", "input", "output")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ROW = st.tuples(TEXT.filter(str.strip), TEXT, TEXT)
ROWS = st.lists(ROW, min_size=1, max_size=8)
Rows = list[tuple[str, str, str]]


def as_lines(rows: Rows, ascii_only: bool) -> bytes:
    lines = (json.dumps(dict(zip(FIELDS, row, strict=True)), ensure_ascii=ascii_only) + "\n" for row in rows)
    return "".join(lines).encode()


def as_array(rows: Rows, ascii_only: bool) -> bytes:
    objects = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    return json.dumps(objects, ensure_ascii=ascii_only, indent=1 if ascii_only else None).encode()


def as_sheet(rows: Rows, crlf: bool) -> bytes:
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet, quoting=csv.QUOTE_ALL, lineterminator="\r\n" if crlf else "\n")
    writer.writerows([FIELDS, *rows])
    return sheet.getvalue().encode()


def as_parquet(rows: Rows, dictionary: bool) -> bytes:
    sink = pa.BufferOutputStream()
    columns = [pa.array(column, pa.large_string() if dictionary else pa.string()) for column in zip(*rows, strict=True)]
    table = pa.table([column.dictionary_encode() if dictionary else column for column in columns], names=FIELDS)
    pq.write_table(table, sink, row_group_size=3)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("suffix", "write"),
    [("jsonl", as_lines), ("json", as_array), ("csv", as_sheet), ("parquet", as_parquet)],
)
@settings(max_examples=50, deadline=None)
@given(rows=ROWS, way=st.booleans(), zipped=st.booleans())
def test_a_row_comes_out_as_it_went_in(
    suffix: str, write: Callable[[Rows, bool], bytes], rows: Rows, way: bool, zipped: bool
) -> None:
    data = write(rows, way)
    zipped = zipped and suffix != "parquet"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"seeds.{suffix}{'.gz' if zipped else ''}")
        path.write_bytes(gzip.compress(data) if zipped else data)
        read = read_seeds(path)
    assert [(row.instruction, row.input, row.output) for row in read.rows] == rows
    assert [row.index for row in read.rows] == list(range(len(rows))) and not read.bad
