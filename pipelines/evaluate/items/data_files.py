"""Reads the items of benchmarks from local files, in their published layouts."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import InputError

Record = Mapping[str, Any]
RECORD_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines or JSON file (.gz allowed), or of all such files of a folder in order of names.

    Raises:
        InputError: A file cannot be read, or contains anything else than JSON objects.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(RECORD_SUFFIXES))
        return [row for file in files for row in read_records(file)]
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
        found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in _lines(text)]
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"cannot be read as JSON or JSON Lines: {error}", file=str(path)) from None
    if not all(isinstance(row, dict) for row in found):
        raise InputError("some rows are not JSON objects", file=str(path))
    return found


def _lines(text: str) -> list[str]:
    # not `splitlines`, which also splits at other line separators, and these may occur in JSON strings
    return [line for line in text.split("\n") if line.strip()]


def multiple_choice_records(path: Path, split: str) -> dict[str, list[dict[str, str]]]:
    """Return multiple-choice questions by subject, from the files SUBJECT_SPLIT.csv of a folder or zip file.

    MMLU's files have no header, and the columns question, A, B, C, D and answer. C-Eval's files have a header. The
    returned rows have at least these six keys.

    Raises:
        InputError: `path` is neither a folder nor a valid zip file.
    """
    return {name: list(_parse_questions(text)) for name, text in sorted(_read_tables(path, f"_{split}.csv"))}


def _read_tables(path: Path, ending: str) -> Iterator[tuple[str, str]]:
    if path.is_dir():
        for file in path.rglob(f"*{ending}"):
            yield file.name.removesuffix(ending), file.read_text("utf-8-sig")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(ending):
                    yield name.rpartition("/")[2].removesuffix(ending), archive.read(name).decode("utf-8-sig")
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"neither a folder nor a valid zip file: {error}", file=str(path)) from None


def _parse_questions(text: str) -> Iterator[dict[str, str]]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    keys = ["question", "A", "B", "C", "D", "answer"]
    if rows and rows[0][:2] == ["id", "question"]:
        keys, rows = rows[0], rows[1:]
    for row in rows:
        yield dict(zip(keys, row, strict=False))


def require_fields(row: Record, path: Path, *names: str) -> list[Any]:
    """Return the values of a row's fields in the order of `names`. `path` is the row's file, for errors.

    Raises:
        InputError: A field is missing.
    """
    missing = [name for name in names if name not in row]
    if missing:
        raise InputError(f"missing column(s) {', '.join(missing)}; found: {', '.join(row)}", file=str(path))
    return [row[name] for name in names]
