"""Finds and deletes what no study of a store needs."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.store.lease import is_dead, leases
from pipelines.store.store import MANIFEST, Store
from pipelines.store.studies.step_index import referenced_keys


@dataclass(frozen=True, slots=True)
class GarbageItem:
    """A path that can be deleted, the reason, and its size."""

    path: str
    reason: str
    bytes: int


def find_garbage(store: Store) -> Iterator[GarbageItem]:
    """Yield the folders of steps that no study has, and the leftovers of finished steps.

    Steps that a live driver is running are never garbage.
    """
    running = {key for claim in leases(store) if not is_dead(claim) for key in claim.steps}
    keep = frozenset[str]().union(running, *referenced_keys(store).values())
    stale: defaultdict[str, list[str]] = defaultdict(list)
    for path in store.stale_files():
        stale[posixpath.basename(posixpath.dirname(path))].append(path)
    for folder in sorted(store.fs.glob(posixpath.join(store.root, "steps", "*", "*"))):
        key, done = posixpath.basename(folder), store.fs.exists(posixpath.join(folder, MANIFEST))
        if key not in keep:
            yield GarbageItem(
                folder, "no study has this step" if done else "unfinished, and no study has it", _size(store, folder)
            )
        elif done and key not in running:
            for path in stale[key]:
                yield GarbageItem(path, "left beside a finished step", _size(store, path))


def remove_garbage(store: Store, item: GarbageItem) -> None:
    """Delete a path. A step's manifest is deleted first, so that no reader sees half of a finished step."""
    manifest = posixpath.join(item.path, MANIFEST)
    if store.fs.exists(manifest):
        store.fs.rm(manifest)
    store.fs.rm(item.path, recursive=True)


def _size(store: Store, folder: str) -> int:
    return store.fs.du(folder)
