"""Which steps a study consists of, kept in the store: what no study needs may go."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from pipelines.store import atomic_files as files
from pipelines.store.store import Store

FILE = "steps.json"
_KEYS = TypeAdapter(frozenset[str])


def save_needs(store: Store, study: str, keys: Iterable[str]) -> None:
    """Keep the keys of all steps of a study, in place of those of an earlier version of it."""
    data = json.dumps(sorted(keys), indent=0).encode()
    store.write_bytes(posixpath.join(store.root, "studies", study, FILE), data)


def are_kept(store: Store, study: str, keys: Iterable[str]) -> bool:
    """Whether the store knows that a study needs these steps."""
    try:
        found = _KEYS.validate_json(store.read_bytes(posixpath.join(store.root, "studies", study, FILE)))
    except (FileNotFoundError, ValidationError):
        return False
    return found == frozenset(keys)


def needed(store: Store) -> dict[str, frozenset[str]]:
    """The keys of the steps of every study that ever ran in the store, by its name. Raises Spoilt."""
    paths = files.listed(store.fs, posixpath.join(store.root, "studies", "*", FILE))
    return {
        posixpath.basename(posixpath.dirname(path)): store.parsed(path, _KEYS.validate_json, "run this study again")
        for path in paths
    }
