"""Reads CSV with a header line. An unclosed quote stops the reading, as the start of the next row would be a guess."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import BufferedReader

from cluster.plural import plural
from pipelines.rows.readers.layouts.columns import check_names
from pipelines.rows.readers.rules import ReadingRules
from pipelines.rows.readers.seed_rows import (
    MAX_PIECE_BYTES,
    MAX_ROW_BYTES,
    REMEDIES,
    FileProblem,
    RawRecord,
    RowProblem,
    decode_bytes,
    has_bad_bytes,
    to_printable,
)

HEADER_BYTES = 1 << 16
OTHER_SEPARATORS = (";", "\t", "|")


def find_separator(stream: BufferedReader, expected: str) -> str:
    """Return what separates the cells of the header, at which the stream is.

    It is `expected`, unless that leaves the header one cell and another one does not: spreadsheet programs write
    semicolons where the comma is the decimal mark.
    """
    header = decode_bytes(stream.peek(HEADER_BYTES).split(b"\n", 1)[0])

    def is_split(separator: str) -> bool:
        try:
            return len(next(csv.reader([header], delimiter=separator, strict=True), ())) > 1
        except csv.Error:
            return False

    return next(filter(is_split, (expected, *OTHER_SEPARATORS)), expected)


def read_csv(stream: BufferedReader, rules: ReadingRules, separator: str = ",") -> Iterator[RawRecord]:
    """Yield every row below the header. Line ends inside quotes stay as they are.

    Raises:
        FileProblem: If the header is not usable, or the file cannot be split into rows.
    """
    lines = _Lines(stream)
    rows = _rows(lines, find_separator(stream, separator))
    header = next(rows, None)
    if header is None:
        return
    _check_header(header[0], header[1], rules)
    names = header[1]
    for line, cells, raw in rows:
        yield RawRecord(line, raw.rstrip("\r\n"), _record(names, cells, raw))


class _Lines:
    """Iterates over the physical lines, and remembers those since the last row."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._pending: list[str] = []
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        while data := self._stream.readline(MAX_PIECE_BYTES):
            if len(data) == MAX_PIECE_BYTES:
                raise FileProblem(f"a line is larger than {MAX_PIECE_BYTES:,} bytes", self.count + 1)
            self.count += 1
            self._pending.append(decode_bytes(data))
            yield self._pending[-1]

    def take(self) -> str:
        """Return the text of the lines since the last call."""
        text = "".join(self._pending)
        self._pending.clear()
        return text


def _rows(lines: _Lines, separator: str) -> Iterator[tuple[int, list[str], str]]:
    """Yield the number of the first line, the cells and the text of every row that is not blank."""
    before = csv.field_size_limit(MAX_PIECE_BYTES)
    reader = csv.reader(lines, strict=True, delimiter=separator)
    start = 1
    try:
        for cells in reader:
            raw = lines.take()
            if cells:
                yield start, cells, raw
            start = lines.count + 1
    except csv.Error as error:
        raise _csv_problem(error, start, lines.count) from None
    finally:
        csv.field_size_limit(before)


def _csv_problem(error: csv.Error, start: int, end: int) -> FileProblem:
    text = str(error)
    if "unexpected end of data" in text or "field larger" in text:
        remedy = "A quote at the start of a cell opens it; one inside is written twice."
        return FileProblem("a quote that opens in this row is never closed", start, remedy)
    if "new-line character" in text:
        return FileProblem("lines end with CR alone", end, "Save the file with LF or CRLF line ends.")
    remedy = "A quote inside a quoted cell is written twice."
    return FileProblem("text follows the closing quote of a cell", end, remedy)


def _check_header(line: int, names: Sequence[str], rules: ReadingRules) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileProblem(
            f"the header names {to_printable(', '.join(twice))} twice", line, "Rename or remove one of them."
        )
    try:
        check_names(names, rules)
    except RowProblem as problem:
        raise FileProblem(f"in the header: {problem.detail}", line, REMEDIES[problem.reason]) from None


def _record(names: Sequence[str], cells: Sequence[str], raw: str) -> object:
    if len(raw.encode("utf-8", "surrogateescape")) > MAX_ROW_BYTES:
        return RowProblem("row-too-large", f"the row is larger than {MAX_ROW_BYTES:,} bytes")
    if has_bad_bytes(raw):
        return RowProblem("invalid-utf8", "the row holds bytes that are not UTF-8")
    if len(cells) != len(names):
        reason = "extra-cells" if len(cells) > len(names) else "missing-cells"
        return RowProblem(reason, f"the row has {plural(len(cells), 'cell')}; the header has {len(names)}")
    return dict(zip(names, cells, strict=True))
