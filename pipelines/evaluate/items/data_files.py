"""Items of benchmarks from local files, in the layouts in which they are published."""

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
    """The rows of a JSON Lines or JSON file (.gz allowed), or of all such files of a folder by name.

    InputError for a file that holds anything else.
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
        raise InputError("holds rows that are no JSON objects", file=str(path))
    return found


def _lines(text: str) -> list[str]:
    """Not `splitlines`: strings may hold other line ends."""
    return [line for line in text.split("\n") if line.strip()]


def multiple_choice_records(path: Path, split: str) -> dict[str, list[dict[str, str]]]:
    """Multiple-choice questions by subject, from the files SUBJECT_SPLIT.csv of a folder or zip.

    MMLU's files have no header (question, A, B, C, D, answer), C-Eval's have one. Rows have these six keys.
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
        raise InputError(f"is neither a folder nor a good zip file: {error}", file=str(path)) from None


def _parse_questions(text: str) -> Iterator[dict[str, str]]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    keys = ["question", "A", "B", "C", "D", "answer"]
    if rows and rows[0][:2] == ["id", "question"]:
        keys, rows = rows[0], rows[1:]
    for row in rows:
        yield dict(zip(keys, row, strict=False))


def require_fields(row: Record, path: Path, *names: str) -> list[Any]:
    """The values of a row's fields; InputError that names the missing ones."""
    missing = [name for name in names if name not in row]
    if missing:
        raise InputError(f"rows have no {', '.join(missing)}; there are {', '.join(row)}", file=str(path))
    return [row[name] for name in names]
