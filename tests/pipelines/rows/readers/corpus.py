"""Bad files by the hundred: what is wrong with a row or with its fields, in every format that can hold it.

A row's text is written as bytes, so that what no encoder would write can be written too.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rows.readers.layouts.columns import NO_INSTRUCTION
from pipelines.rows.readers.seed_rows import REMEDIES, decode_bytes

FORMATS = ("jsonl", "json", "csv", "parquet")
FIELDS = ("instruction", "input", "output")
GOOD = (
    {"instruction": 'say "e\u0301", \u2028 \ufeff \U0001f600', "input": "<|im_end|>\r\n{{ x }}", "output": "007"},
    {"instruction": "=1+1 \\n NaN", "input": "", "output": " a,b;c\t "},
)


@dataclass(frozen=True)
class Case:
    """A bad file. `told` is the whole complaint after the file's path; a bad row has a `reason` and a `field`, too."""

    name: str
    suffix: str
    data: bytes
    told: str
    reason: str = ""
    field: str | None = None

    @property
    def of_row(self) -> bool:
        """Whether only one row is bad, the second of three."""
        return bool(self.reason)


def written(suffix: str, rows: Sequence[Mapping[str, bytes]]) -> bytes:
    """Rows of raw text in a format, all with the fields of the first one."""
    names = list(rows[0])
    if suffix == "parquet":
        columns = {name: pa.array([row[name] for row in rows], pa.binary()).view(pa.string()) for name in names}
        return parquet(columns)
    if suffix == "csv":
        sheet = io.StringIO(newline="")
        writer = csv.writer(sheet, quoting=csv.QUOTE_ALL)
        writer.writerows([names, *([decode_bytes(row[name]) for name in names] for row in rows)])
        return encoded(sheet.getvalue())
    objects = [json.dumps({n: decode_bytes(v) for n, v in row.items()}, ensure_ascii=False) for row in rows]
    return encoded("\n".join(objects) + "\n" if suffix == "jsonl" else "[\n" + ",\n".join(objects) + "\n]\n")


def encoded(text: str) -> bytes:
    """The bytes that `decoded` took for text."""
    return text.encode("utf-8", "surrogateescape")


def parquet(columns: Mapping[str, Any]) -> bytes:
    """A Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink)
    return sink.getvalue().to_pybytes()


def spliced(suffix: str, row: bytes) -> bytes:
    """JSON or JSON Lines in which the second of three rows is this text."""
    first, last = (json.dumps(good, ensure_ascii=False).encode() for good in GOOD)
    return b"\n".join((first, row, last)) if suffix == "jsonl" else b"[\n" + b",\n".join((first, row, last)) + b"\n]"


def good_rows() -> list[dict[str, bytes]]:
    """The rows around a bad one, as bytes."""
    return [{name: text.encode() for name, text in row.items()} for row in GOOD]


def row_case(name: str, suffix: str, data: bytes, reason: str, detail: str, field: str | None) -> Case:
    """A case of which the second row is bad, in the line where that format has it."""
    where = {"jsonl": ":2: ", "json": ":3: ", "csv": ":4: ", "parquet": ": "}[suffix]
    place = "row 1 (from 0): " if suffix == "parquet" else ""
    told = f"{where}{f'{field}: ' if field else ''}{place}{detail}. {REMEDIES[reason]}".replace("?.", "?")
    return Case(name, suffix, data, told, reason, field)


TEXTS = {  # name: bytes, reason, detail
    "latin-1": (b"caf\xe9", "invalid-utf8", "the row holds bytes that are not UTF-8"),
    "cut character": (b"\xe2\x82", "invalid-utf8", "the row holds bytes that are not UTF-8"),
    "overlong": (b"\xc0\xaf", "invalid-utf8", "the row holds bytes that are not UTF-8"),
    "surrogate in UTF-8": (b"\xed\xa0\x80", "invalid-utf8", "the row holds bytes that are not UTF-8"),
    "NUL": (b"a\0b", "nul", "holds a NUL character"),
    "over 1 MB": (b"x" * 1_000_001, "row-too-large", "the row is larger than 1,000,000 bytes"),
}
EMPTY = {"": b"", "spaces": b"  ", "line ends": b"\n\t", "no-break space": b"\xc2\xa0", "wide space": b"\xe3\x80\x80"}


def texts() -> Iterator[Case]:
    """Yield files in which one cell of the second row is invalid text, or is empty."""
    first, last = good_rows()
    for suffix in FORMATS:
        for field in FIELDS:
            for name, (value, reason, detail) in TEXTS.items():
                told = field if reason == "nul" or (reason == "invalid-utf8" and suffix == "parquet") else None
                data = written(suffix, [first, {**last, field: value}, last])
                yield row_case(f"{name} in {field}", suffix, data, reason, detail, told)
        for name, value in EMPTY.items():
            data = written(suffix, [first, {**last, "instruction": value}, last])
            yield row_case(f"empty: {name}", suffix, data, "empty-instruction", "is empty", "instruction")


NAMES = {  # the fields' names: reason, detail, field
    ("text", "input"): "",
    ("Instructions", "input"): "",
    ("INSTRUCTION TEXT", "OUTPUT"): "",
    (" the instruction", "input"): "",
    ("instructions", "outputs"): "",
    ("input", "output"): "",
    ("system", "category"): "",
    ("instruction", "question"): "instruction",
    ("instruction", "prompt"): "instruction",
    ("question", "prompt"): "instruction",
    ("instruction", "output", "response"): "output",
    ("prompt", "output", "answer"): "output",
    ("question", "response", "answer"): "output",
}


def fields() -> Iterator[Case]:
    """The fields have other names, or two could be meant: every row of a table, one row among objects."""
    for names, ambiguous in NAMES.items():
        row = dict.fromkeys(names, b"x")
        if ambiguous:
            reason, two = "ambiguous-field", " and ".join(names[-2:])
            detail = f"both {two} could be the {ambiguous}"
        else:
            reason = "missing-instruction"
            detail = f"{NO_INSTRUCTION}; the fields are {', '.join(names)}"
        for suffix in ("jsonl", "json"):
            data = spliced(suffix, json.dumps(dict.fromkeys(names, "x")).encode())
            yield row_case(f"names {names}", suffix, data, reason, detail, ambiguous or "instruction")
        for suffix, place in (("csv", ":1: in the header: "), ("parquet", ": among its columns: ")):
            yield Case(f"names {names}", suffix, written(suffix, [row]), f"{place}{detail}. {REMEDIES[reason]}")


TYPES = {
    "3": "a number",
    "-1.5": "a number",
    "9" * 30: "a number",
    "true": "true or false",
    '["x"]': "a list",
    '{"a": "x"}': "an object",
}
ESCAPES = {"high half": r"\ud83d", "low half": r"\udc00", "halves swapped": r"\udc00\ud800"}
ROWS = {  # what stands where an object should be: reason, detail in JSON Lines ("" in an array: the array is broken)
    '["instruction"]': ("not-an-object", "a row must be an object with an instruction; here is a list"),
    '"instruction"': ("not-an-object", "a row must be an object with an instruction; here is text"),
    "12": ("not-an-object", "a row must be an object with an instruction; here is a number"),
    "null": ("not-an-object", "a row must be an object with an instruction; here is null"),
    "false": ("not-an-object", "a row must be an object with an instruction; here is true or false"),
    '{"instruction": "x", "input": NaN}': ("not-a-number", "NaN is not JSON"),
    '{"instruction": "x", "output": Infinity}': ("not-a-number", "Infinity is not JSON"),
    '{"instruction": "x", "history": [-Infinity]}': ("not-a-number", "-Infinity is not JSON"),
    '{"instruction": NaN}': ("not-a-number", "NaN is not JSON"),
    '{"instruction": "x", "input": 1e999}': ("number-too-large", "the number 1e999 is beyond a double"),
    '{"instruction": "x", "system": -1e400}': ("number-too-large", "the number -1e400 is beyond a double"),
    '{"instruction": "x", "output": ' + "9" * 5000 + "}": ("number-too-large", "a number of 5000 digits"),
    '{"conversations": []}': ("no-user-turn", "no turn is the user's"),
    '{"messages": [{"role": "system", "content": "x"}]}': ("no-user-turn", "no turn is the user's"),
}
FIELDS_OF_ROWS = {"c": "conversations", "m": "messages"}


def objects() -> Iterator[Case]:
    """What only JSON can hold: other types, halves of characters, keys twice, numbers that are none."""
    for suffix in ("jsonl", "json"):
        for field in FIELDS:
            others = "" if field == "instruction" else '"instruction": "x", '
            for value, kind in TYPES.items():
                data = spliced(suffix, f'{{{others}"{field}": {value}}}'.encode())
                yield row_case(f"{kind} in {field}", suffix, data, "wrong-type", f"must be text; here is {kind}", field)
            for name, value in ESCAPES.items():
                data, code = spliced(suffix, f'{{{others}"{field}": "{value}"}}'.encode()), value[2:6].upper()
                detail = f"holds half a surrogate pair (U+{code})"
                yield row_case(f"{name} in {field}", suffix, data, "lone-surrogate", detail, field)
            data = spliced(suffix, f'{{"{field}": "x", "instruction": "y", "{field}": "x"}}'.encode())
            yield row_case(f"{field} twice", suffix, data, "duplicate-key", "is given twice in one object", field)
        for text, (reason, detail) in ROWS.items():
            told = FIELDS_OF_ROWS.get(text[2:3]) if reason == "no-user-turn" else None
            yield row_case(text[:40], suffix, spliced(suffix, text.encode()), reason, detail, told)
        data = spliced(suffix, b'{"messages": [{"role": "user", "content": "a", "content": "b"}]}')
        yield row_case("a nested key twice", suffix, data, "duplicate-key", "is given twice in one object", "content")
        data = spliced(suffix, b'{"instruction": null}')
        yield row_case("null", suffix, data, "empty-instruction", "is empty", "instruction")
