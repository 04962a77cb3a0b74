"""Writes a study to a file that means the same."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.relative_paths import relative_paths
from pipelines.study.file.write import to_yaml


def save_study(loaded: LoadedStudy, path: Path, overwrite: bool) -> Path:
    """Write a study to a file; return its path.

    Raises:
        InputError: The file exists, its folder does not, or relative paths would not be found from there.
    """
    if path.exists() and not overwrite:
        raise InputError("exists already", file=str(path), remedy="Give another path, or 'overwrite=True'.")
    if not path.parent.is_dir():
        raise InputError("no such folder", file=str(path.parent))
    elsewhere = path.absolute().parent.resolve() != loaded.folder.resolve()
    if elsewhere and (named := next(iter(relative_paths(loaded)), None)):
        message = f"the study names '{named}', relative to {loaded.folder}"
        raise InputError(message, file=str(path), remedy="Save it in that folder, or name files by absolute paths.")
    path.write_text(to_yaml(loaded.study), encoding="utf-8")
    return path
