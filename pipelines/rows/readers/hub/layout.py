"""Which files of a data set on the hub are those of a config and a split: by its card, or by the names of its files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fsspec.utils import glob_translate

from pipelines.rows.readers.formats.file_format import FORMATS, format_of
from pipelines.rows.readers.hub.card import CARD, Card
from pipelines.rows.readers.seed_rows import FileProblem

DEFAULT = "default"
_ABOUT = {CARD, "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
# keywords and separators are those of `datasets`
_KEYWORDS = {
    "train": "train|training",
    "validation": "validation|valid|dev|val",
    "test": "test|testing|eval|evaluation",
}
_SEPARATOR = "[-._ 0-9]"
_SHARDED = re.compile(r"(?:^|/)data/(\w+)-\d{5}-of-\d{5}[^/]*\.[^/]*$")
_SHARD = re.compile(r"^(.*)-(\d{5})-of-(\d{5})(.*)$")

Splits = Mapping[str, Sequence[str]]
"""The names of files by split."""


def choose_files(names: Sequence[str], card: Card, config: str | None, split: str) -> list[str]:
    """Return the names of the files of a config and a split, sorted.

    Args:
        names: All files of the data set, relative to its root.
        card: The header of its card.
        config: The config's name; None for the only or the default one.
        split: The split's name.

    Raises:
        FileProblem: If there is no such config or split; the error lists those that exist.
    """
    entries = _entries(card)
    splits = _listed(names, _chosen_config(entries, config)) if entries else _unlisted(names, config)
    if not splits:
        remedy = (
            "If a script creates it, use a commit of its branch 'refs/convert/parquet', which has the rows as Parquet."
        )
        raise FileProblem(f"has no files of seeds ({', '.join(FORMATS)})", remedy=remedy)
    if split not in splits:
        raise FileProblem(f"has no split '{split}'", remedy=f"Its splits are {', '.join(sorted(splits))}.")
    found = sorted({*splits[split]})
    _check_shards(found)
    return found


def _entries(card: Card) -> list[Mapping[str, Any]]:
    stated = card.get("configs")
    return [entry for entry in stated if isinstance(entry, dict)] if isinstance(stated, list) else []


def _config_name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("config_name", DEFAULT))


def _chosen_config(entries: Sequence[Mapping[str, Any]], config: str | None) -> Mapping[str, Any]:
    if config is None:
        preferred = [each for each in entries if each.get("default") or _config_name(each) == DEFAULT]
        if len(entries) == 1 or preferred:
            return (preferred or entries)[0]
    return next(
        (entry for entry in entries if _config_name(entry) == config),
        None,
    ) or _no_config([_config_name(entry) for entry in entries], config)


def _no_config(configs: Sequence[str], config: str | None) -> Any:
    shown = ", ".join(sorted(configs))
    if config is None:
        raise FileProblem(f"has the configs {shown}", remedy=f"Choose one, for example 'config: {sorted(configs)[0]}'.")
    remedy = f"Its configs are {shown}." if configs else "It has only one: leave 'config' out."
    raise FileProblem(f"has no config '{config}'", remedy=remedy)


def _listed(names: Sequence[str], entry: Mapping[str, Any]) -> Splits:
    """Return the files of a config of the card."""
    base = posixpath.normpath(str(entry.get("data_dir") or "."))
    stated = entry.get("data_files")
    if stated is None:
        return _by_names(_within(names, base))
    found: dict[str, list[str]] = {}
    for split, pattern in _patterns(stated):
        found.setdefault(split, []).extend(_matching(names, posixpath.normpath(posixpath.join(base, pattern)), entry))
    return found


def _patterns(stated: Any) -> list[tuple[str, str]]:
    """Return the pairs of split and pattern of `data_files`: a pattern, a list of them, or these by split."""
    if isinstance(stated, dict):
        return [(str(split), text) for split, each in stated.items() for text in _texts(each)]
    if isinstance(stated, list) and stated and all(isinstance(each, dict) for each in stated):
        return [(str(each.get("split", "train")), text) for each in stated for text in _texts(each.get("path"))]
    return [("train", text) for text in _texts(stated)]


def _texts(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) for each in found):
        remedy = "Download the files, and name them with 'file'."
        raise FileProblem(f"has a {CARD} whose 'data_files' are not paths", remedy=remedy)
    return found


def _matching(names: Sequence[str], pattern: str, entry: Mapping[str, Any]) -> list[str]:
    matches = _glob(pattern)
    hidden = any(part.startswith(".") for part in pattern.split("/"))
    found = [name for name in names if matches.match(name) and (hidden or not _is_hidden(name)) and name != CARD]
    if not found:
        message = f"has no file '{pattern}', which its {CARD} names for the config '{_config_name(entry)}'"
        raise FileProblem(message, remedy="Use another commit, or download the files and name them with 'file'.")
    return found


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(glob_translate(pattern))


def _unlisted(names: Sequence[str], config: str | None) -> Splits:
    """Return the files of a data set whose card lists no configs. A config is a folder then."""
    data = [name for name in names if _is_data(name)]
    folders = sorted({name.split("/")[0] for name in data if "/" in name and not _is_split_folder(name.split("/")[0])})
    if config in folders:
        return _by_names(_within(data, str(config)))
    if config not in (None, DEFAULT):
        return _no_config(folders, config)
    splits = _by_names(data)
    used = sorted({name.split("/")[0] for found in splits.values() for name in found} & {*folders})
    if DEFAULT in used:
        return _by_names(_within(data, DEFAULT))
    return _no_config(used, None) if len(used) > 1 else splits


def _is_split_folder(name: str) -> bool:
    return name == "data" or any(_folder_pattern(words).match(name) for words in _KEYWORDS.values())


def _within(names: Sequence[str], folder: str) -> list[str]:
    return [name for name in names if folder == "." or name.startswith(f"{folder}/")]


def _by_names(names: Sequence[str]) -> Splits:
    """Return files by split: by `data/SPLIT-00000-of-00001.*`, or by folders, or by file names, or all as train."""
    data = [name for name in names if _is_data(name)]
    for found in (_sharded(data), _by_keyword(data, _in_folder), _by_keyword(data, _in_name)):
        if found:
            return found
    return {"train": data} if data else {}


def _sharded(names: Sequence[str]) -> Splits:
    found: dict[str, list[str]] = {}
    for name in names:
        if match := _SHARDED.search(name):
            found.setdefault(match[1], []).append(name)
    return found


def _by_keyword(names: Sequence[str], has: Any) -> Splits:
    found = {split: [name for name in names if has(name, words)] for split, words in _KEYWORDS.items()}
    return {split: files for split, files in found.items() if files}


def _in_folder(name: str, words: str) -> bool:
    return any(_folder_pattern(words).match(part) for part in name.split("/")[:-1])


def _in_name(name: str, words: str) -> bool:
    return re.search(f"(?:^|{_SEPARATOR})(?:{words}){_SEPARATOR}", posixpath.basename(name)) is not None


def _folder_pattern(words: str) -> re.Pattern[str]:
    return re.compile(f"(?:.*{_SEPARATOR})?(?:{words})(?:{_SEPARATOR}.*)?$")


def _is_data(name: str) -> bool:
    if _is_hidden(name) or posixpath.basename(name) in _ABOUT:
        return False
    try:
        format_of(Path(name))
    except FileProblem:
        return False
    return True


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__")) for part in name.split("/"))


def _check_shards(names: Sequence[str]) -> None:
    """Raise FileProblem if one of numbered shards (`...-00002-of-00005...`) is missing."""
    present: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if match := _SHARD.match(name):
            present.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (stem, count), numbers in present.items():
        if missing := sorted({*range(count)} - numbers):
            first = f"{stem}-{missing[0]:05}-of-{count:05}"
            raise FileProblem(f"lacks {len(missing)} of {count} shards, the first one {first}")
