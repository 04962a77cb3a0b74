"""CSV: cells that do not match the header are reported row by row. A quote that is never closed stops the reading."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.rows.readers import BadRow, SeedRow, read_seeds
from pipelines.rows.readers.layouts.columns import NO_INSTRUCTION
from pipelines.rows.readers.seed_rows import REMEDIES
from pipelines.rows.readers.sets.column_names import column_names

QUOTES = "A quote at the start of a cell opens it; one inside is written twice."


def lines(*rows: bytes) -> bytes:
    return b"\r\n".join(rows) + b"\r\n"


def test_bad_rows_are_set_aside_by_the_line_where_they_start(set_aside: Callable[[str, bytes], list[BadRow]]) -> None:
    data = lines(
        b"instruction,input,output",
        b"a,b,c",
        b"a,b",
        b"a,b,c,d",
        b'"two\r\nlines",,',
        b"\xff,,",
        b" ,,",
        b"x\x00,,",
        b"",
        b'"' + b"x" * 1_000_001 + b'",,',
        b"z,,",
    )
    assert [(bad.index, bad.line, bad.field, bad.reason, bad.detail) for bad in set_aside("seeds.csv", data)] == [
        (1, 3, None, "missing-cells", "the row has 2 cells; the header has 3"),
        (2, 4, None, "extra-cells", "the row has 4 cells; the header has 3"),
        (4, 7, None, "invalid-utf8", "the row holds bytes that are not UTF-8"),
        (5, 8, "instruction", "empty-instruction", "is empty"),
        (6, 9, "instruction", "nul", "holds a NUL character"),
        (7, 11, None, "row-too-large", "the row is larger than 1,000,000 bytes"),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'instruction\ngood\n"abc\n' + b"x\n" * 1000, ":3: a quote that opens in this row is never closed. " + QUOTES),
        (
            b'instruction,input\nx,"' + (b"y" * 99 + b"\n") * 50_000,
            ":2: a quote that opens in this row is never closed. " + QUOTES,
        ),
        (
            b'instruction\n"a"b\nc\n',
            ":2: text follows the closing quote of a cell. A quote inside a quoted cell is written twice.",
        ),
        (b"instruction\rab\rc", ":1: lines end with CR alone. Save the file with LF or CRLF line ends."),
        (
            b"a,b\n1,2\n",
            f":1: in the header: {NO_INSTRUCTION}; the fields are a, b. {REMEDIES['missing-instruction']}",
        ),
        (b"instruction,instruction\n1,2\n", ":1: the header names instruction twice. Rename or remove one of them."),
        (
            b"question,prompt\na,b\n",
            ":1: in the header: both question and prompt could be the instruction. " + REMEDIES["ambiguous-field"],
        ),
        (b"instruction\n" + b"x" * 5_000_000, ":2: a line is larger than 4,000,000 bytes"),
        (b"instruction\n\n", ": contains no rows"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_whose_rows_cannot_be_told_apart_is_refused(
    refused: Callable[[str, bytes], list[str]], tmp_path: Path, data: bytes, expected: str
) -> None:
    assert refused("seeds.csv", data) == [expected]
    with pytest.raises(Exception) as caught:
        read_seeds(tmp_path / "seeds.csv", on_bad_row="quarantine")
    assert str(caught.value).endswith(expected)


def test_cells_are_kept_with_their_quotes_line_ends_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(b'\xef\xbb\xbfid,answer,question\r\n007,"a ""b"",\r\nc"," =1+1 \xc3\xa9"\r\n')
    assert read_seeds(path).rows == [SeedRow(0, " =1+1 é", "", 'a "b",\r\nc')]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("seeds.csv", b"question;input;note\na, b;c;d|e\n"),
        ("seeds.csv", b"\xef\xbb\xbfquestion\tinput\na, b\tc\n"),
        ("seeds.csv.gz", gzip.compress(b'"question"|"input"|"note, long"\r\n"a, b"|c|\r\n', mtime=0)),
        ("seeds.csv", "Å;input;question\n;c;a, b\n".encode()),
        ("seeds.tsv", b"question;input\na, b;c\n"),
        ("seeds.tsv", b"question, or prompt;x\tquestion\tinput\n\ta, b\tc\n"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_separates_the_names_of_the_header_separates_cells(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert read_seeds(path).rows == [SeedRow(0, "a, b", "c", "")]
    assert {"question", "input"} <= {*column_names(path)}


def test_a_separator_inside_a_quoted_name_or_in_rows_alone_separates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(b'"instruction"\na;b|c\n')
    assert read_seeds(path).rows == [SeedRow(0, "a;b|c", "", "")]
    path.write_bytes(b'"my; prompt"\na;b|c\n')
    assert column_names(path) == ("my; prompt",)


def test_a_cell_of_half_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(b"instruction\n" + b"x" * 500_000 + b"\n")
    assert len(read_seeds(path).rows[0].instruction) == 500_000
