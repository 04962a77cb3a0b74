"""Folders as seed sets: shards as hubs have them, and data sets saved with `save_to_disk`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.rows.readers.formats.file_format import FORMATS, check_file, format_of
from pipelines.rows.readers.seed_rows import FileProblem

_SPLIT = re.compile(r"(?:^|[-_./])(train|test|validation|valid|val|dev|eval)(?=[-_./0-9]|$)")
_ABOUT = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_STATE, _SPLITS = "state.json", "dataset_dict.json"


def folder_files(folder: Path, split: str | None) -> list[Path]:
    """Return the files of a folder in the order of their rows.

    Raises:
        FileProblem: If the folder has no files of seeds, or several splits or sub-folders of which none is chosen.
    """
    if (folder / _SPLITS).is_file():
        splits = [*_strings(_read(folder / _SPLITS).get("splits"), folder)]
        return folder_files(folder / _chosen(splits, split), None)
    if (folder / _STATE).is_file():
        return _saved_files(folder, split)
    return _shards(folder, split)


def _saved_files(folder: Path, split: str | None) -> list[Path]:
    """Return the files of a saved data set, in the order that its state says."""
    state = _read(folder / _STATE)
    if split and split != state.get("_split"):
        raise FileProblem(f"is the split '{state.get('_split')}', not '{split}'", remedy="Leave 'split' out.")
    if state.get("_indices_data_files"):
        remedy = "Save it again: 'load_from_disk(...).flatten_indices().save_to_disk(...)'."
        raise FileProblem("is a data set whose rows are chosen by a separate file", remedy=remedy)
    listed: Any = state.get("_data_files")
    names = [str(entry.get("filename")) for entry in listed if isinstance(entry, dict)] if listed else []
    if not names:
        raise FileProblem(f"has a {_STATE} that names no files", remedy="Save the data set again.")
    files = [folder / name for name in names]
    for file in files:
        check_file(file)
        format_of(file)
    return files


def _shards(folder: Path, split: str | None) -> list[Path]:
    """Return the files of seeds in a folder and its sub-folders, sorted."""
    found = [path for path in sorted(folder.rglob("*")) if _is_seed_file(path, folder)]
    if not found:
        raise FileProblem(f"is a folder without files of seeds ({', '.join(FORMATS)})")
    splits = {path: _split_of(path.relative_to(folder)) for path in found}
    named = sorted({name for name in splits.values() if name})
    if split or len(named) > 1:
        chosen = _chosen(named, split)
        found = [path for path in found if splits[path] == chosen]
    folders = sorted({str(path.parent.relative_to(folder)) for path in found})
    if len(folders) > 1:
        remedy = "Name one of these folders, or the files with a glob."
        raise FileProblem(f"has files of seeds in several folders: {', '.join(folders[:5])}", remedy=remedy)
    for path in found:
        check_file(path)
    return found


def _is_seed_file(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    if hidden or path.name in _ABOUT or not path.is_file():
        return False
    try:
        format_of(path)
    except FileProblem:
        return False
    return True


def _split_of(path: Path) -> str:
    found = _SPLIT.search(path.as_posix().lower())
    return found[1] if found else ""


def _chosen(splits: Sequence[str], split: str | None) -> str:
    """Return the split to read: the only one, or the one that the study names."""
    shown = ", ".join(splits)
    if split is None and len(splits) == 1:
        return splits[0]
    if split is None:
        raise FileProblem(f"has the splits {shown}", remedy=f"Choose one, for example 'split: {splits[0]}'.")
    if split not in splits:
        raise FileProblem(f"has no split '{split}'", remedy=f"Its splits are {shown}." if shown else "Leave it out.")
    return split


def _read(path: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileProblem(f"has a {path.name} that is not JSON: {error}", remedy="Save the data set again.") from None
    return found if isinstance(found, dict) else {}


def _strings(value: Any, folder: Path) -> list[str]:
    names = [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
    if not names:
        raise FileProblem(f"has a {_SPLITS} that names no splits", remedy="Save the data set again.")
    return [name for name in names if (folder / name).is_dir()]
