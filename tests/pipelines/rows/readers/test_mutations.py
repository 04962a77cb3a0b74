"""Whatever happens to a file, the user sees an InputError or rows, never a traceback of ours."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.rows.readers import read_seeds
from pipelines.study.check import check
from pipelines.study.file.load import load

QUICKSTART = Path(__file__).parents[4] / "studies" / "quickstart.yaml"
LINE = '{"instruction": "a\\u00e9 é", "input": null, "output": "x", "n": [1.5e3, {"a": -1}]}\n'.encode()
TOKENS = [
    *(bytes([byte]) for byte in b"\"'\n\r\t{}[],:\\#%~?|>&*!\0\xff"),
    *(b"\\ud800", b"\xef\xbb\xbf", b"NaN", b"1e999", b"9" * 4500, b"- ", b"&a ", b"*a", b"\xc2\x85", b"\xe2\x80\xa8"),
]


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"instruction": [f"text {number}" for number in range(50)], "input": [None] * 50}), sink)
    return sink.getvalue().to_pybytes()


CHAT = (
    b'{"system": "S.", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]},'
    b' {"role": "assistant", "content": null, "tool_calls": []}, {"from": "human", "value": "b"}], "tools": "[]"}\n'
    b'{"instruction": "c", "history": [["a", "b"]], "context": "d", "data": ["x"], "body": {"messages": []}}\n'
)


def arrow() -> bytes:
    sink = pa.BufferOutputStream()
    turns = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]] * 30
    table = pa.table({"messages": turns, "system": ["é"] * 30, "tools": [["t"]] * 30})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


FILES: dict[str, Callable[[], bytes]] = {
    "seeds.jsonl": lambda: LINE * 5,
    "chats.jsonl": lambda: CHAT * 2,
    "wrapped.json": lambda: b'{"version": 1, "data": [' + b",".join([LINE] * 3) + b"]}",
    "by_id.json": lambda: b'{"a": ' + LINE + b', "b": ' + LINE + b"}",
    "columns.json": lambda: b'{"instruction": ["a", "b"], "output": ["c", null]}',
    "seeds.tsv": lambda: b"instruction\toutput\na\tb\nc\t\n",
    "seeds.arrow": arrow,
    "seeds.jsonl.bz2": lambda: bz2.compress(LINE * 20),
    "seeds.jsonl.xz": lambda: lzma.compress(LINE * 20),
    "seeds.jsonl.zst": lambda: pa.compress(LINE * 20, codec="zstd", asbytes=True),
    "seeds.json": lambda: b"[" + b",".join([LINE] * 3) + b"]",
    "seeds.csv": lambda: b'instruction,input,output\na,"b ""q"" \n",c\n"x",y,z\n',
    "seeds.parquet": parquet,
    "seeds.jsonl.gz": lambda: gzip.compress(LINE * 20),
    "study.yaml": QUICKSTART.read_bytes,
}


def mutated(data: bytes, draw: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(spoilt) + 1)
        kind = draw.choice(("insert", "insert", "cut", "flip", "end"))
        if kind == "insert":
            spoilt[at:at] = draw.choice(TOKENS)
        elif kind == "cut":
            del spoilt[at : at + draw.randint(1, 6)]
        elif kind == "flip":
            spoilt[at : at + 1] = bytes([draw.randrange(256)])
        elif draw.random() < 0.3:
            del spoilt[at:]
    return bytes(spoilt)


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_ends_in_rows_or_in_an_input_error(tmp_path: Path, name: str) -> None:
    draw = random.Random(name)
    path = tmp_path / name
    data = FILES[name]()
    for _ in range(20 if name == "study.yaml" else 80):
        path.write_bytes(mutated(data, draw))
        with suppress(InputError):
            if name == "study.yaml":
                check(load(path))
            else:
                read_seeds(path, on_bad_row=draw.choice(("refuse", "quarantine")))
