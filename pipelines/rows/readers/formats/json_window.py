"""A moving window over JSON text: memory does not depend on the size of the file."""

from __future__ import annotations

from io import BufferedReader, TextIOWrapper
from json import JSONDecodeError

from pipelines.rows.readers.seed_rows import (
    MAX_PIECE_BYTES,
    MAX_ROW_BYTES,
    FileProblem,
    RawRecord,
    RowProblem,
    has_bad_bytes,
)
from pipelines.rows.readers.strict_json import StrictDecoder, describe_json_error

_SPACE = " \t\r\n"


class JsonWindow:
    """A moving window over the text, at least as long as the longest row until the file ends."""

    def __init__(self, stream: BufferedReader) -> None:
        self.line = 1
        self._source = TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        self._text = ""
        self._position = 0
        self._ended = False
        self._decoder = StrictDecoder()

    def peek(self) -> str:
        """Skip white space, and return the next character, or "" at the end of the file."""
        while True:
            self._fill(MAX_ROW_BYTES)
            at = self._position
            while at < len(self._text) and self._text[at] in _SPACE:
                at += 1
            self.skip(at - self._position)
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]

    def skip(self, count: int) -> None:
        """Move forward by `count` characters, and count the lines."""
        self.line += self._text.count("\n", self._position, self._position + count)
        self._position += count

    def starts_objects(self) -> bool:
        """Return whether a list or object at the current position has an object as its first element."""
        return self._text[self._position + 1 : self._position + 1 + MAX_ROW_BYTES].lstrip(_SPACE)[:1] == "{"

    def value(self, limit: int) -> object:
        """Decode the value at the current position, of at most `limit` bytes, and move past it."""
        value, end = self._decode(limit)
        self.skip(end - self._position)
        return value

    def element(self) -> RawRecord:
        """Decode the row at the current position, and move past it."""
        line = self.line
        value, end = self._decode(MAX_PIECE_BYTES)
        raw = self._text[self._position : end]
        self.skip(end - self._position)
        if len(raw.encode("utf-8", "surrogateescape")) > MAX_ROW_BYTES:
            value = RowProblem("row-too-large", f"the row is larger than {MAX_ROW_BYTES:,} bytes")
        elif has_bad_bytes(raw):
            value = RowProblem("invalid-utf8", "the row holds bytes that are not UTF-8")
        return RawRecord(line, raw, value)

    def _decode(self, limit: int) -> tuple[object, int]:
        wanted = 2 * MAX_ROW_BYTES
        while True:
            try:
                return self._decoder.decode(self._text, self._position)
            except JSONDecodeError as error:
                if self._ended or wanted > limit:
                    raise self._json_problem(error) from None
            except RecursionError:
                raise FileProblem("brackets are nested too deep", self.line) from None
            self._fill(wanted)
            wanted *= 2

    def _json_problem(self, error: JSONDecodeError) -> FileProblem:
        line = self.line + self._text.count("\n", self._position, error.pos)
        unclosed = error.msg.startswith("Unterminated")
        if unclosed and not self._ended:
            return FileProblem(f"a string that starts here is larger than {MAX_PIECE_BYTES:,} bytes", line)
        if unclosed or not self._text[error.pos :].strip(_SPACE):
            return FileProblem("the file ends inside the array", line)
        return FileProblem(f"not JSON: {describe_json_error(error)}", line)

    def _fill(self, wanted: int) -> None:
        if self._ended or len(self._text) - self._position >= wanted:
            return
        more = self._source.read(2 * wanted)
        self._ended = not more
        self._text, self._position = self._text[self._position :] + more, 0
