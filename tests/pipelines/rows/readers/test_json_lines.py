"""JSON Lines: a bad line is refused or set aside with its number, field and reason, and never hides the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.rows.readers import BadRow, SeedRow, read_seeds
from pipelines.rows.readers.layouts.columns import NO_INSTRUCTION
from pipelines.rows.readers.seed_rows import REMEDIES

GOOD = b'{"instruction": "ok"}\n'

BAD_LINES = [
    (b'{"instruction": "a\xff"}', None, "invalid-utf8", "the row holds bytes that are not UTF-8"),
    (b'{"instruction": "\\ud800x"}', "instruction", "lone-surrogate", "holds half a surrogate pair (U+D800)"),
    (b'{"instruction": "\\u0000"}', "instruction", "nul", "holds a NUL character"),
    (b'{"instruction": "x\x00"}', None, "not-json", "invalid control character, column 19"),
    (b'{"instruction": "x", "input": NaN}', None, "not-a-number", "NaN is not JSON"),
    (b'{"instruction": "x", "output": -Infinity}', None, "not-a-number", "-Infinity is not JSON"),
    (b'{"instruction": "x", "input": 1e999}', None, "number-too-large", "the number 1e999 is beyond a double"),
    (b'{"instruction": "x", "output": ' + b"9" * 5000 + b"}", None, "number-too-large", "a number of 5000 digits"),
    (b'{"instruction": "x", "instruction": "y"}', "instruction", "duplicate-key", "is given twice in one object"),
    (b"[" * 100_000, None, "nested-too-deep", "brackets are nested too deep"),
    (b'{"instruction": 3}', "instruction", "wrong-type", "must be text; here is a number"),
    (b'{"instruction": ["x"]}', "instruction", "wrong-type", "must be text; here is a list"),
    (b'{"instruction": "x", "input": 1}', "input", "wrong-type", "must be text; here is a number"),
    (b'{"instruction": "x", "output": false}', "output", "wrong-type", "must be text; here is true or false"),
    (b'{"instruction": null}', "instruction", "empty-instruction", "is empty"),
    (b'{"instruction": " \\n\\t"}', "instruction", "empty-instruction", "is empty"),
    (
        b'{"Instructions": "x"}',
        "instruction",
        "missing-instruction",
        f"{NO_INSTRUCTION}; the fields are Instructions",
    ),
    (
        b'{"instruction": "x", "prompt": "y"}',
        "instruction",
        "ambiguous-field",
        "both instruction and prompt could be the instruction",
    ),
    (
        b'{"prompt": "x", "output": "", "answer": "y"}',
        "output",
        "ambiguous-field",
        "both output and answer could be the output",
    ),
    (b'["instruction"]', None, "not-an-object", "a row must be an object with an instruction; here is a list"),
    (b"null", None, "not-an-object", "a row must be an object with an instruction; here is null"),
    (b'{"instruction": "x"} 3', None, "not-json", "something follows the object, column 21"),
    (b'{"instruction": "x', None, "not-json", "unterminated string, column 17"),
    (b"{'instruction': 'x'}", None, "not-json", "expecting property name enclosed in double quotes, column 2"),
    (b'\xef\xbb\xbf{"instruction": "x"}', None, "not-json", "expecting value, column 1"),
    (
        b'{"instruction": "' + b"x" * 1_000_000 + b'"}',
        None,
        "row-too-large",
        "the row is larger than 1,000,000 bytes",
    ),
]


@pytest.mark.parametrize(("line", "field", "reason", "detail"), BAD_LINES, ids=lambda value: str(value)[:30])
def test_a_bad_line_is_told_by_number_field_and_reason(
    refused: Callable[[str, bytes], list[str]],
    set_aside: Callable[[str, bytes], list[BadRow]],
    line: bytes,
    field: str | None,
    reason: str,
    detail: str,
) -> None:
    data = GOOD + b"\n" + line + b"\n" + GOOD
    (bad,) = set_aside("seeds.jsonl", data)
    assert (bad.index, bad.line, bad.field, bad.reason, bad.detail) == (1, 3, field, reason, detail)
    assert len(bad.raw) <= 2_000
    assert bad.raw.isprintable()
    told = f"{field}: {detail}" if field else detail
    assert refused("seeds.jsonl", data) == [f":3: {told}. {REMEDIES[reason]}"]


def test_the_raw_line_of_a_bad_row_shows_bad_bytes_as_escapes(set_aside: Callable[[str, bytes], list[BadRow]]) -> None:
    (bad,) = set_aside("seeds.jsonl", GOOD + b'{"instruction": "\xff\x1b[31m \xe2\x80\xae \xc3\xa9"}\n')
    assert bad.raw == '{"instruction": "\\xff\\x1b[31m \\u202e é"}'


def test_the_lines_around_bad_ones_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(GOOD + b"[" * 100_000 + b"\n" + b'{"instruction": "' + b"x" * 2_500_000 + b'"}\n' + GOOD)
    read = read_seeds(path, on_bad_row="quarantine")
    assert [row.index for row in read.rows] == [0, 3]
    assert [(row.index, row.line) for row in read.bad] == [(1, 2), (2, 3)]


def test_text_is_kept_code_point_by_code_point(tmp_path: Path) -> None:
    text = "e\u0301 \u2028 \ufeff \U0001f600 <|im_end|> {{ instruction }} \r\n\t  "
    path = tmp_path / "seeds.jsonl"
    escaped = text.encode("unicode_escape").replace(b"\\U0001f600", b"\\ud83d\\ude00").replace(b"\\x", b"\\u00")
    path.write_bytes(b'\xef\xbb\xbf{"instruction": "' + escaped + b'", "input": null, "output": "\xcc\x81"}')
    assert read_seeds(path).rows == [SeedRow(0, text, "", "\u0301")]


@pytest.mark.parametrize(
    "line",
    [
        '{"question": "q", "answer": "a"}',
        '{"prompt": "q", "response": "a", "id": 123456789012345678901234567890}',
        '{"instruction": "q", "input": "", "output": "a", "text": null}',
    ],
)
def test_other_names_for_the_fields_are_understood(tmp_path: Path, line: str) -> None:
    path = tmp_path / "seeds.ndjson"
    path.write_text(line)
    assert read_seeds(path).rows == [SeedRow(0, "q", "", "a")]


def test_all_bad_lines_are_told_at_once(refused: Callable[[str, bytes], list[str]]) -> None:
    found = refused("seeds.jsonl", b'{"instruction": 1}\n' + GOOD + b"x\n")
    assert found == [
        f":1: instruction: must be text; here is a number. {REMEDIES['wrong-type']}",
        ":3: expecting value, column 1. A row is one JSON object in one line.",
    ]
