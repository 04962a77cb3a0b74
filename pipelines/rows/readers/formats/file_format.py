"""Opens seed files as bytes: finds the format by the name, unzips, and describes what is wrong with a file."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from pipelines.rows.readers.seed_rows import FileProblem

FORMATS = {".jsonl": "json-lines", ".ndjson": "json-lines", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
HEAD_BYTES = 32  # enough to recognise other formats
PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "Unpack it."),
    b"BZh": ("a bzip2 file", "Unpack it, or pack it with gzip."),
    b"\xfd7zXZ": ("an xz file", "Unpack it, or pack it with gzip."),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "Unpack it, or pack it with gzip."),
    b"SQLite format 3": ("an SQLite database", "Export its rows."),
    b"%PDF": ("a PDF", "Only JSON Lines, JSON, CSV and Parquet hold rows."),
    b"<!doctype": ("a web page", "Download the file itself."),
    b"<html": ("a web page", "Download the file itself."),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "Run 'git lfs pull'."),
}
_UTF16 = re.compile(rb"[\t\n\r -~]\0[\t\n\r -~]\0|\0[\t\n\r -~]\0[\t\n\r -~]|\xff\xfe|\xfe\xff|\0\0\xfe\xff")
MAX_GROWTH = 200  # the compression ratio that real text never reaches
MIN_SUSPICIOUS_BYTES = 100_000_000  # unpacked; below it, any ratio is accepted
_DOWNLOAD_AGAIN = "Fetch or write it again."
_WITHOUT_GZ_NAME = "whose name does not end in .gz"


def format_of(path: Path) -> tuple[str, bool]:
    """Return the format that a file's name says, and whether the file is zipped.

    Raises:
        FileProblem: If the name has another extension.
    """
    name = path.name.lower()
    zipped = name.endswith(".gz")
    suffix = Path(name.removesuffix(".gz")).suffix
    known = ", ".join(FORMATS)
    if suffix not in FORMATS:
        raise FileProblem(f"'{suffix}' is not a format of seeds", remedy=f"Use {known}; all but Parquet also as .gz.")
    if zipped and suffix == ".parquet":
        raise FileProblem("zipped Parquet is not supported", remedy="Unzip the file; it is already compressed inside.")
    return FORMATS[suffix], zipped


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
def open_bytes(path: Path, zipped: bool) -> Generator[BufferedReader]:
    """Open a file as a stream of bytes, unzipped and without byte order mark.

    Raises:
        FileProblem: If the file cannot be read; also if that happens while the body reads the stream.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            source: Any = _Unzipped(file, size) if zipped else file  # Any: the type stubs have no common type for both
            stream = BufferedReader(source)
            _skip_mark(stream, zipped)
            yield stream
    except gzip.BadGzipFile as error:
        raise FileProblem(f"not a valid gzip file: {error}", remedy=_DOWNLOAD_AGAIN) from None
    except EOFError:
        raise FileProblem("the gzip file is cut off before its end", remedy=_DOWNLOAD_AGAIN) from None
    except zlib.error as error:
        raise FileProblem(f"the gzip file is damaged: {error}", remedy=_DOWNLOAD_AGAIN) from None
    except OSError as error:
        raise FileProblem(f"cannot be read: {error}") from None


def _skip_mark(stream: BufferedReader, zipped: bool) -> None:
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    if head.startswith(_BOM):
        stream.read(len(_BOM))
    elif head.startswith(PARQUET_MAGIC):
        raise FileProblem("is a Parquet file", remedy="Name it .parquet.")
    else:
        refuse_foreign(head, zipped)


def refuse_foreign(head: bytes, zipped: bool = False) -> None:
    """Raise FileProblem for a file whose first bytes are those of an unsupported format.

    `zipped` says whether the bytes were unzipped.
    """
    if _UTF16.match(head):
        raise FileProblem("is UTF-16 or UTF-32", remedy="Save it as UTF-8.")
    if head.startswith(_GZIP):
        remedy = "Unpack it once." if zipped else "Rename it."
        raise FileProblem("is a gzip file " + ("in a gzip file" if zipped else _WITHOUT_GZ_NAME), remedy=remedy)
    for start, (what, remedy) in _FOREIGN.items():
        if head.startswith(start) or head.lower().startswith(start):
            raise FileProblem(f"is {what}", remedy=remedy)


def check_growth(unpacked: int, packed: int) -> None:
    """Raise FileProblem for a file that looks like a zip bomb, by its sizes in bytes."""
    if unpacked > max(MIN_SUSPICIOUS_BYTES, MAX_GROWTH * packed):
        remedy = "If that is intended, unpack it and use the unpacked file."
        raise FileProblem(f"unpacks to more than {MAX_GROWTH} times its size", remedy=remedy)


class _Unzipped(gzip.GzipFile):
    """Unzips a file, and stops if it looks like a zip bomb."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._packed, self._unpacked = size, 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._unpacked += count
        check_growth(self._unpacked, self._packed)
        return count
