"""More bad files: those that are broken as JSON, CSV, Parquet or gzip, or that are something else altogether."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rows.readers.layouts.columns import NO_INSTRUCTION
from pipelines.rows.readers.seed_rows import REMEDIES
from tests.pipelines.rows.readers.corpus import (
    FIELDS,
    FORMATS,
    GOOD,
    Case,
    fields,
    good_rows,
    objects,
    parquet,
    row_case,
    spliced,
    texts,
    written,
)

JSON = REMEDIES["not-json"]
CELLS = REMEDIES["extra-cells"]
AGAIN = "Fetch or write it again."
QUOTES = "A quote at the start of a cell opens it; one inside is written twice."
NAMED = "A file with one object per line is JSON Lines: name it .jsonl."

LINES = {  # lines that are no JSON
    b"{'instruction': 'x'}": "expecting property name enclosed in double quotes, column 2",
    b'{"instruction": "x"} // why': "something follows the object, column 21",
    b'{"instruction": "x"} {"instruction": "y"}': "something follows the object, column 21",
    b'{"instruction": "x"}\r{"instruction": "y"}': "something follows the object, column 21",
    b'{"instruction": "x': "unterminated string, column 17",
    b'{"instruction": "x"': "expecting ',' delimiter, column 20",
    b'{"instruction": x}': "expecting value, column 17",
    b'{"instruction": 01}': "expecting ',' delimiter, column 18",
    b'{"instruction": True}': "expecting value, column 17",
    b'{"instruction": "a\tb"}': "invalid control character, column 19",
    b'{"instruction": "a\x00b"}': "invalid control character, column 19",
    b'{"instruction": "\\x41"}': "invalid \\escape, column 18",
    b'{"instruction": "\\u12"}': "invalid \\uXXXX escape, column 19",
    b'\xef\xbb\xbf{"instruction": "x"}': "expecting value, column 1",
    b"instruction,input": "expecting value, column 1",
    b"{": "expecting property name enclosed in double quotes, column 2",
}
ARRAYS = {  # arrays that break in their second row
    b"{'instruction': 'x'}": ":3: not JSON: expecting property name enclosed in double quotes",
    b'{"instruction": "x"} {"instruction": "y"}': ":3: ',' or ']' is expected after a row",
    b'{"instruction": "x"} // why': ":3: ',' or ']' is expected after a row",
    b'{"instruction": True}': ":3: not JSON: expecting value",
    b'{"instruction": "a\tb"}': ":3: not JSON: invalid control character",
    b'{"instruction": "\\x41"}': ":3: not JSON: invalid \\escape",
    b"": ":3: not JSON: expecting value",
    b"]": ":3: not JSON: expecting value",
    b"[" * 100_000: ":3: brackets are nested too deep",
}
SHEETS = {  # CSV files without a usable header, or whose rows cannot be separated
    b'instruction\nx\n"abc\ny\n': f":3: a quote that opens in this row is never closed. {QUOTES}",
    b'instruction,input\nx,y\n"a"b,c\n': ":3: text follows the closing quote of a cell. "
    "A quote inside a quoted cell is written twice.",
    b"instruction\rx\ry": ":1: lines end with CR alone. Save the file with LF or CRLF line ends.",
    b"instruction,input,input\nx,y,z\n": ":1: the header names input twice. Rename or remove one of them.",
    b"instruction,instruction\nx,y\n": ":1: the header names instruction twice. Rename or remove one of them.",
    b"instruction,input\n": ": contains no rows",
    b"instruction": ": contains no rows",
    b"\n\n\n": ": contains no rows",
    b"instruction\n" + b"x" * 4_000_001: ":2: a line is larger than 4,000,000 bytes",
    b'{"instruction": "x"}\n': f":1: in the header: {NO_INSTRUCTION}; "
    f'the fields are {{"instruction": "x"}}. {REMEDIES["missing-instruction"]}',
}
CELLS_OF_ROWS = {
    b"x": ("missing-cells", "the row has 1 cell; the header has 3"),
    b"x,y": ("missing-cells", "the row has 2 cells; the header has 3"),
    b"x,y,z,": ("extra-cells", "the row has 4 cells; the header has 3"),
    b"x, y, and more,z": ("extra-cells", "the row has 4 cells; the header has 3"),
}


def broken_json() -> Iterator[Case]:
    """Yield files that are not JSON, or not an array of objects."""
    for row, detail in LINES.items():
        yield row_case(str(row), "jsonl", spliced("jsonl", row), "not-json", detail, None)
    deep = spliced("jsonl", b'{"a":' * 100_000)
    yield row_case("deep", "jsonl", deep, "nested-too-deep", "brackets are nested too deep", None)
    for row, told in ARRAYS.items():
        yield Case(str(row[:40]), "json", spliced("json", row), told)
    whole = json.dumps(GOOD[1]).encode()
    for data, told in {
        whole: f":1: must be a JSON array of objects: [{{...}}, ...]. {NAMED}",
        whole + b"\n" + whole: f":1: must be a JSON array of objects: [{{...}}, ...]. {NAMED}",
        b'"text"': f":1: must be a JSON array of objects: [{{...}}, ...]. {NAMED}",
        b"[" + whole + b"\n]\n" + whole: ":3: there is text after the end of the array",
        b"[" + whole + b",\n": ":2: the file ends inside the array",
        b"[" + whole + b",\n" + whole[:-9]: ":2: the file ends inside the array",
        b"[]": ": contains no rows",
    }.items():
        yield Case(str(data[:40]), "json", data, told)


def broken_csv() -> Iterator[Case]:
    """Quotes that do not close, cells that do not fit."""
    for data, told in SHEETS.items():
        yield Case(str(data[:40]), "csv", data, told)
    before, whole = written("csv", good_rows()[:1]), written("csv", good_rows())
    for row, (reason, detail) in CELLS_OF_ROWS.items():
        data = before + row + b"\r\n" + whole[len(before) :]
        yield row_case(str(row), "csv", data, reason, detail, None)


COLUMNS: dict[str, tuple[Any, str]] = {
    "int64": (pa.array([1]), "int64"),
    "uint8": (pa.array([1], pa.uint8()), "uint8"),
    "double": (pa.array([float("nan")]), "double"),
    "bool": (pa.array([True]), "bool"),
    "date": (pa.array([datetime.date(2020, 1, 1)]), "date32[day]"),
    "time": (pa.array([datetime.datetime(2020, 1, 1)]), "timestamp[us]"),
    "30 digits": (pa.array([decimal.Decimal("9" * 30)]), "decimal128(30, 0)"),
    "bytes": (pa.array([b"x"]), "binary"),
    "16 bytes": (pa.array([b"x" * 16], pa.binary(16)), "fixed_size_binary[16]"),
    "list": (pa.array([["x"]]), "list<element: string>"),
    "struct": (pa.array([{"a": "x"}]), "struct<a: string>"),
    "dictionary of numbers": (pa.array([1]).dictionary_encode(), "int64"),
}


def broken_parquet() -> Iterator[Case]:
    """Columns that hold no text, bad values behind other encodings, files that are cut, locked or swollen."""
    for field in FIELDS:
        for name, (column, kind) in COLUMNS.items():
            data = parquet({"instruction": ["x"], field: column})
            told = f": column '{field}' has the type {kind}, not text. {REMEDIES['wrong-type']}"
            yield Case(f"{name} in {field}", "parquet", data, told)
    bad = pa.array([b"a", b"\xff", b"c"], pa.binary())
    for name, column in (
        ("large", bad.cast(pa.large_binary()).view(pa.large_string())),
        ("plain", bad.view(pa.string())),
    ):
        data = parquet({"instruction": column})
        detail = "the row holds bytes that are not UTF-8"
        yield row_case(f"bytes in a {name} string", "parquet", data, "invalid-utf8", detail, "instruction")
    texts = pa.array(["a", None, "a"])
    for name, column in (("nulls", texts), ("a dictionary of nulls", texts.dictionary_encode())):
        data = parquet({"instruction": column})
        yield row_case(name, "parquet", data, "empty-instruction", "is empty", "instruction")
    sink = pa.BufferOutputStream()
    twice = pa.table([["x"], ["y"]], names=["instruction", "instruction"])
    pq.write_table(twice, sink)
    told = ": two columns are named instruction. Rename or remove one of them."
    yield Case("a column twice", "parquet", sink.getvalue().to_pybytes(), told)
    yield Case("no rows", "parquet", parquet({"instruction": pa.array([], pa.string())}), ": contains no rows")
    whole = parquet({"instruction": [str(number) for number in range(1000)]})
    tail = "Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file."
    yield Case("cut", "parquet", whole[:-20], f": not a readable Parquet file: {tail} {AGAIN}")
    yield Case("locked", "parquet", b"PARE" + whole[4:], ": is an encrypted Parquet file. Write it without encryption.")


def _zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("seeds.jsonl", data)
    return packed.getvalue()


def foreign() -> Iterator[Case]:
    """Files that are something else, whatever their name says."""
    line = b'{"instruction": "x"}\n'
    named, encoding = "file whose name does not end in .{}. Rename it.", ": is UTF-16 or UTF-32. Save it as UTF-8."
    for suffix in FORMATS:
        for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
            yield Case(name, suffix, line.decode().encode(name), encoding)
        yield Case("gzip", suffix, gzip.compress(line), ": is a gzip file whose name does not end in .gz. Rename it.")
        yield Case("zip", suffix, _zip(line), ": is a zip archive. Unpack it.")
        yield Case("bzip2", suffix, bz2.compress(line), f": is a bzip2 {named.format('bz2')}")
        yield Case("xz", suffix, lzma.compress(line), f": is an xz {named.format('xz')}")
        yield Case(
            "zstd",
            suffix,
            b"\x28\xb5\x2f\xfd" + bytes(range(40)),
            f": is a zstd {named.format('zst')}",
        )
        yield Case("sqlite", suffix, b"SQLite format 3\0" + b"\1" * 99, ": is an SQLite database. Export its rows.")
        told = ": is a PDF. Only JSON Lines, JSON, CSV, Parquet and Arrow hold rows."
        yield Case("pdf", suffix, b"%PDF-1.7\n%\xe2\xe3\n", told)
        yield Case("page", suffix, b"<!DOCTYPE html>\n<title>404</title>", ": is a web page. Download the file itself.")
        yield Case("page in capitals", suffix, b"<HTML><BODY>", ": is a web page. Download the file itself.")
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        yield Case("lfs", suffix, pointer, ": is a pointer of Git LFS, not the file. Run 'git lfs pull'.")
        yield Case("empty", suffix, b"", ": is empty")
        if suffix == "parquet":
            remedy = "Give it the name of its format: .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .arrow."
            for name, data in {
                "lines": line,
                "array": b"[]",
                "sheet": b"instruction\nx\n",
                "mark": b"\xef\xbb\xbf",
            }.items():
                yield Case(name, suffix, data, f": is not a Parquet file. {remedy}")
        else:
            told = ": is a Parquet file. Name it .parquet."
            yield Case("parquet", suffix, parquet({"instruction": ["x"]}), told)
            yield from _zipped(suffix, written(suffix, good_rows() * 99))


def _zipped(suffix: str, data: bytes) -> Iterator[Case]:
    packed, name = gzip.compress(data), f"{suffix}.gz"
    yield Case("cut", name, packed[:-9], f": the gzip file is cut off before its end. {AGAIN}")
    yield Case("not zipped", name, b"xx" + data, f": not a valid gzip file: Not a gzipped file (b'xx'). {AGAIN}")
    wrong = packed[:-8] + b"\0\0\0\0" + packed[-4:]
    code = hex(int.from_bytes(packed[-8:-4], "little"))
    yield Case("checksum", name, wrong, f": not a valid gzip file: CRC check failed 0x0 != {code}. {AGAIN}")
    yield Case("twice", name, gzip.compress(packed), ": is a gzip file in a gzip file. Unpack it once.")
    yield Case("a zip in a gzip file", name, gzip.compress(_zip(data)), ": is a zip archive. Unpack it.")
    told = f":1: must be a JSON array of objects: [{{...}}, ...]. {NAMED}" if suffix == "json" else ": contains no rows"
    yield Case("nothing", name, gzip.compress(b""), told)


def corpus() -> list[Case]:
    """All cases."""
    return [*texts(), *fields(), *objects(), *broken_json(), *broken_csv(), *broken_parquet(), *foreign()]
