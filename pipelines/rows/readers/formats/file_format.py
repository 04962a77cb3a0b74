"""Opens seed files as bytes: finds the format by the name, unzips, and describes what is wrong with a file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from pipelines.rows.readers.seed_rows import FileProblem

FORMATS = {
    ".jsonl": "json-lines",
    ".ndjson": "json-lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
PACKED = (".gz", ".zst", ".xz", ".bz2")
COMPRESSED_INSIDE = ("parquet", "arrow")
HEAD_BYTES = 32  # enough to recognise other formats
PARQUET_MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"
_BOM = b"\xef\xbb\xbf"
_PACKED_MAGIC = {
    b"\x1f\x8b": ("a gzip file", ".gz"),
    b"BZh": ("a bzip2 file", ".bz2"),
    b"\xfd7zXZ": ("an xz file", ".xz"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", ".zst"),
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".xz": "xz", ".bz2": "bzip2"}
_PACKED_NAMES = {ending: what for what, ending in _PACKED_MAGIC.values()}
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "Unpack it."),
    b"SQLite format 3": ("an SQLite database", "Export its rows."),
    b"%PDF": ("a PDF", "Only JSON Lines, JSON, CSV, Parquet and Arrow hold rows."),
    b"<!doctype": ("a web page", "Download the file itself."),
    b"<html": ("a web page", "Download the file itself."),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "Run 'git lfs pull'."),
    b"FEA1": ("a Feather file of version 1", "Write it as Parquet."),
}
_UTF16 = re.compile(rb"[\t\n\r -~]\0[\t\n\r -~]\0|\0[\t\n\r -~]\0[\t\n\r -~]|\xff\xfe|\xfe\xff|\0\0\xfe\xff")
MAX_GROWTH = 200  # the compression ratio that real text never reaches
MIN_SUSPICIOUS_BYTES = 100_000_000  # unpacked; below it, any ratio is accepted
_BUFFER_BYTES = 1 << 17
_AGAIN = "Fetch or write it again."


def format_of(path: Path) -> tuple[str, str]:
    """Return the format that a file's name says, and the extension of its compression ("" if there is none).

    Raises:
        FileProblem: If the name has another extension.
    """
    name = path.name.lower()
    packed = next((ending for ending in PACKED if name.endswith(ending)), "")
    suffix = Path(name.removesuffix(packed)).suffix
    if suffix not in FORMATS:
        remedy = f"Use {', '.join(FORMATS)}; all but Parquet and Arrow also as {', '.join(PACKED)}."
        raise FileProblem(f"'{suffix}' is not a format of seeds", remedy=remedy)
    if packed and FORMATS[suffix] in COMPRESSED_INSIDE:
        title = FORMATS[suffix].capitalize()
        raise FileProblem(f"zipped {title} is not supported", remedy="Unzip the file; it can be compressed inside.")
    return FORMATS[suffix], packed


def check_file(path: Path) -> None:
    """Raise FileProblem unless `path` is a regular file that is not empty."""
    try:
        if path.is_dir():
            raise FileProblem("is a folder, not a file")
        if not path.exists():
            raise FileProblem("no such file")
        if not path.is_file():
            raise FileProblem("is not a regular file")
        if path.stat().st_size == 0:
            raise FileProblem("is empty")
    except (OSError, ValueError) as error:
        raise FileProblem(f"cannot be read: {error}") from None


@contextmanager
def open_bytes(path: Path, packed: str) -> Generator[BufferedReader]:
    """Open a file as a stream of bytes, unpacked and without byte order mark. `packed` is its compression's extension.

    Raises:
        FileProblem: If the file cannot be read; also if that happens while the body reads the stream.
    """
    try:
        with path.open("rb") as file:
            source: Any = _unpacked(file, packed, path.stat().st_size)
            stream = BufferedReader(source, _BUFFER_BYTES)
            _skip_mark(stream, packed)
            yield stream
    except gzip.BadGzipFile as error:
        raise FileProblem(f"not a valid gzip file: {error}", remedy=_AGAIN) from None
    except EOFError:
        raise FileProblem(f"the {_COMPRESSIONS[packed]} file is cut off before its end", remedy=_AGAIN) from None
    except (zlib.error, lzma.LZMAError) as error:
        raise FileProblem(f"the {_COMPRESSIONS[packed]} file is damaged: {error}", remedy=_AGAIN) from None
    except OSError as error:
        if packed and error.errno is None:  # bz2 and pyarrow report bad data so
            raise FileProblem(f"the {_COMPRESSIONS[packed]} file is damaged: {error}", remedy=_AGAIN) from None
        raise FileProblem(f"cannot be read: {error}") from None


def _skip_mark(stream: BufferedReader, packed: str) -> None:
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    if head.startswith(_BOM):
        stream.read(len(_BOM))
        return
    for magic, name in ((PARQUET_MAGIC, "Parquet"), (ARROW_MAGIC, "Arrow")):
        if head.startswith(magic):
            raise FileProblem(f"is {'an' if name == 'Arrow' else 'a'} {name} file", remedy=f"Name it .{name.lower()}.")
    refuse_foreign(head, packed)


def refuse_foreign(head: bytes, packed: str = "") -> None:
    """Raise FileProblem for a file whose first bytes are those of an unsupported format.

    `packed` is the extension of the compression that the bytes were unpacked from.
    """
    if _UTF16.match(head):
        raise FileProblem("is UTF-16 or UTF-32", remedy="Save it as UTF-8.")
    for magic, (what, ending) in _PACKED_MAGIC.items():
        if head.startswith(magic):
            around = f"in {_PACKED_NAMES[packed]}" if packed else f"whose name does not end in {ending}"
            raise FileProblem(f"is {what} {around}", remedy="Unpack it once." if packed else "Rename it.")
    for start, (what, remedy) in _FOREIGN.items():
        if head.startswith(start) or head.lower().startswith(start):
            raise FileProblem(f"is {what}", remedy=remedy)


def check_growth(unpacked: int, packed: int) -> None:
    """Raise FileProblem for a file that looks like a zip bomb, by its sizes in bytes."""
    if unpacked > max(MIN_SUSPICIOUS_BYTES, MAX_GROWTH * packed):
        remedy = "If that is intended, unpack it and use the unpacked file."
        raise FileProblem(f"unpacks to more than {MAX_GROWTH} times its size", remedy=remedy)


def _unpacked(file: BufferedReader, packed: str, size: int) -> RawIOBase | BufferedReader:
    """Return the stream of a file's unpacked bytes. `size` is that of the file."""
    if not packed:
        return file
    if packed == ".gz":
        return _Unpacked(gzip.GzipFile(fileobj=file, mode="rb"), size)
    if packed == ".xz":
        return _Unpacked(lzma.LZMAFile(file), size)
    if packed == ".bz2":
        return _Unpacked(bz2.BZ2File(file), size)
    import pyarrow as pa  # late: only zstd needs it

    return _Unpacked(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"), size)


class _Unpacked(RawIOBase):
    """Unpacks a file, and stops if it looks like a zip bomb."""

    def __init__(self, source: Any, size: int) -> None:
        super().__init__()
        self._source, self._packed, self._unpacked = source, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with unpacked bytes; return their number, 0 at the end."""
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._unpacked += len(data)
        check_growth(self._unpacked, self._packed)
        return len(data)
