"""Finds the files of a seed set (files, folders of shards, saved data sets, globs), and hashes them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers.formats.file_format import check_file, format_of
from pipelines.rows.readers.seed_rows import FileProblem
from pipelines.rows.readers.sets.folders import folder_files

_MAGIC = frozenset("*?[")


def find_files(paths: Sequence[Path], split: str | None = None) -> tuple[Path, ...]:
    """Return the files that `paths` name, in the order of their rows. Rows are not read.

    Args:
        paths: Files, folders and globs. They are sorted; so are the files of a glob, and of a folder unless it says in
            which order they are.
        split: Which split of folders that have several.

    Raises:
        InputError: If a path does not name files of one known format, or names a file twice.
    """
    files: list[Path] = []
    for path in sorted(paths):
        try:
            files += _files_of(path, split)
        except FileProblem as problem:
            raise file_error(path, problem) from None
    if twice := next((file for file, count in Counter(files).items() if count > 1), None):
        raise InputError("is named twice", file=str(twice), remedy="Name it once.")
    kinds = {format_of(file)[0]: file for file in files}
    if len(kinds) > 1:
        shown = " and ".join(str(file) for file in sorted(kinds.values())[:2])
        remedy = "Files of one seed set are of one format: name them with a glob, for example '*.parquet'."
        raise InputError(f"is of several formats: {shown}", file=str(paths[0]), remedy=remedy)
    return tuple(files)


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


def matching(path: Path) -> list[Path]:
    """Return the files and folders that match a glob, sorted; an existing path matches itself only."""
    place = next((place for place, part in enumerate(path.parts) if _MAGIC & {*part}), None)
    if place is None or path.exists():
        return [path]
    base = Path(*path.parts[:place])
    found = base.glob("/".join(path.parts[place:]))
    return sorted(each for each in found if not any(part.startswith(".") for part in each.relative_to(base).parts))


def _files_of(path: Path, split: str | None) -> list[Path]:
    try:
        found = matching(path)
        if not found:
            raise FileProblem("no file matches")
        return [file for each in found for file in _expanded(each, split)]
    except (OSError, ValueError) as error:
        raise FileProblem(f"cannot be read: {error}") from None


def _expanded(path: Path, split: str | None) -> list[Path]:
    if path.is_dir():
        return folder_files(path, split)
    check_file(path)
    format_of(path)
    if split:
        raise FileProblem(f"is a file, which has no split '{split}'", remedy="Leave 'split' out, or name the folder.")
    return [path]


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
