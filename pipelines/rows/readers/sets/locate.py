"""Finds the files of a seed set, and hashes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers.formats.file_format import check_file, format_of
from pipelines.rows.readers.seed_rows import FileProblem


def find_files(paths: Sequence[Path], split: str | None = None) -> tuple[Path, ...]:
    """Return the files that `paths` name, in the order of their rows. Rows are not read.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    del split
    for path in paths:
        try:
            check_file(path)
            format_of(path)
        except FileProblem as problem:
            raise file_error(path, problem) from None
    return tuple(paths)


def hash_files(files: Sequence[Path]) -> str:
    """Return the content hash of files: of one file its sha256, of several that of their hashes, in their order.

    Raises:
        InputError: If a file cannot be read.
    """
    found = [_hash_file(path) for path in files]
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()


def file_error(path: Path, problem: FileProblem) -> InputError:
    """Return the error that users see of a file that cannot be read."""
    return InputError(problem.message, file=str(path), line=problem.line, remedy=problem.remedy)


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
