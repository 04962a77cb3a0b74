"""The keys of each study's steps, kept in the store. Steps that no study has can be deleted."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from pipelines.store import atomic_files as files
from pipelines.store.store import Store

INDEX_FILE = "steps.json"
_KEYS = TypeAdapter(frozenset[str])


def save_step_index(store: Store, study: str, keys: Iterable[str]) -> None:
    """Save the keys of all steps of a study, and replace those of an earlier version of it."""
    data = json.dumps(sorted(keys), indent=0).encode()
    store.write_bytes(posixpath.join(store.root, "studies", study, INDEX_FILE), data)


def index_is_saved(store: Store, study: str, keys: Iterable[str]) -> bool:
    """Return whether the saved index of a study has exactly these keys."""
    try:
        found = _KEYS.validate_json(store.read_bytes(posixpath.join(store.root, "studies", study, INDEX_FILE)))
    except (FileNotFoundError, ValidationError):
        return False
    return found == frozenset(keys)


def referenced_keys(store: Store) -> dict[str, frozenset[str]]:
    """Return the step keys of every study that ever ran in the store, by the study's name.

    Raises:
        CorruptStore: If an index is damaged.
    """
    paths = files.list_files(store.fs, posixpath.join(store.root, "studies", "*", INDEX_FILE))
    return {
        posixpath.basename(posixpath.dirname(path)): store.read_json(path, _KEYS.validate_json, "run this study again")
        for path in paths
    }
