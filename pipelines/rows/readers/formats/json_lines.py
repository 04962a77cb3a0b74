"""Reads JSON Lines: one object per line. A bad line does not affect the next one."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from json import JSONDecodeError

from pipelines.rows.readers.seed_rows import (
    MAX_RAW_CHARS,
    MAX_ROW_BYTES,
    FileProblem,
    RawRecord,
    RowProblem,
    decode_bytes,
    has_bad_bytes,
)
from pipelines.rows.readers.strict_json import StrictDecoder, describe_json_error

_SPACE = " \t\r\n"


def read_json_lines(stream: BufferedReader) -> Iterator[RawRecord]:
    """Yield every line that is not blank, as a record or a problem.

    Raises:
        FileProblem: If the first line shows that the file is JSON, but not JSON Lines.
    """
    decoder = StrictDecoder()
    line, started = 0, False
    while data := stream.readline(MAX_ROW_BYTES + 1):
        line += 1
        if len(data) > MAX_ROW_BYTES and not data.endswith(b"\n"):
            _skip_line(stream)
            problem = RowProblem("row-too-large", f"the row is larger than {MAX_ROW_BYTES:,} bytes")
            yield RawRecord(line, decode_bytes(data[: 4 * MAX_RAW_CHARS]), problem)
        elif stripped := data.strip(b" \t\r\n"):
            if not started:
                _refuse_other_layouts(stripped, line)
            started = True
            text = decode_bytes(data).rstrip("\r\n")
            yield RawRecord(line, text, _record(decoder, text))


def count_json_lines(stream: BufferedReader) -> int:
    """Return the number of lines that are not blank."""
    count, blank = 0, True
    while data := stream.readline(MAX_ROW_BYTES):
        blank = blank and not data.strip(b" \t\r\n")
        if data.endswith(b"\n"):
            count, blank = count + (not blank), True
    return count + (not blank)


def _refuse_other_layouts(first: bytes, line: int) -> None:
    if first == b"[" or (first.startswith(b"[") and first[1:].lstrip().startswith(b"{")):
        raise FileProblem("is a JSON array", line, "Name it .json.")
    if first == b"{":
        remedy = "Write each row in one line, or name the file .json if it is one array or object."
        raise FileProblem("has an object that takes several lines", line, remedy)


def _skip_line(stream: BufferedReader) -> None:
    while (data := stream.readline(MAX_ROW_BYTES)) and not data.endswith(b"\n"):
        pass


def _record(decoder: StrictDecoder, text: str) -> object:
    if has_bad_bytes(text):
        return RowProblem("invalid-utf8", "the row holds bytes that are not UTF-8")
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = decoder.decode(text, start)
    except JSONDecodeError as error:
        return RowProblem("not-json", f"{describe_json_error(error)}, column {error.pos + 1}")
    except RecursionError:
        return RowProblem("nested-too-deep", "brackets are nested too deep")
    if text[end:].strip(_SPACE):
        return RowProblem("not-json", f"something follows the object, column {end + 1}")
    return value
