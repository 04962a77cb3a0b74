"""A seed file as bytes: which format its name says, opened, unzipped, and its troubles in plain words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from pipelines.readers.rows import FileProblem

FORMATS = {".jsonl": "json-lines", ".ndjson": "json-lines", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


def format_of(path: Path) -> tuple[str, bool]:
    """The format that a file's name says, and whether it is zipped. Raises FileProblem for any other name."""
    name = path.name.lower()
    zipped = name.endswith(".gz")
    suffix = Path(name.removesuffix(".gz")).suffix
    known = ", ".join(FORMATS)
    if suffix not in FORMATS:
        raise FileProblem(
            f"'{suffix}' is not a format of seeds", remedy=f"There are {known}, each but Parquet also as .gz."
        )
    if zipped and suffix == ".parquet":
        raise FileProblem("Parquet is not read from .gz", remedy="It is compressed inside; unzip the file.")
    return FORMATS[suffix], zipped


def check_file(path: Path) -> None:
    """Raise FileProblem unless `path` is a regular file with something in it."""
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
def opened(path: Path, zipped: bool) -> Generator[BufferedReader]:
    """The file's bytes, unzipped and without byte order mark. Raises FileProblem, also for what the body reads."""
    try:
        with path.open("rb") as file:
            source: Any = gzip.GzipFile(fileobj=file) if zipped else file  # Any: the stubs know no reader of both
            stream = BufferedReader(source)
            _skip_mark(stream, zipped)
            yield stream
    except gzip.BadGzipFile as error:
        raise FileProblem(f"not a good gzip file: {error}") from None
    except EOFError:
        raise FileProblem("the gzip file is cut off before its end") from None
    except zlib.error as error:
        raise FileProblem(f"the gzip file is damaged: {error}") from None
    except OSError as error:
        raise FileProblem(f"cannot be read: {error}") from None


def _skip_mark(stream: BufferedReader, zipped: bool) -> None:
    head = stream.peek(4)[:4]
    if head.startswith(_BOM):
        stream.read(len(_BOM))
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileProblem("is UTF-16", remedy="Save it as UTF-8.")
    elif head.startswith(_GZIP) and not zipped:
        raise FileProblem("is a gzip file whose name does not end in .gz", remedy="Rename it.")
