"""What no study of a store needs, and its removal."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.store.lease import claims, is_gone
from pipelines.store.store import MANIFEST, Store
from pipelines.store.studies.step_index import needed


@dataclass(frozen=True, slots=True)
class Unneeded:
    """A folder that can go, why, and its size."""

    path: str
    why: str
    bytes: int


def unneeded(store: Store) -> Iterator[Unneeded]:
    """Step folders that no study needs, and leftovers of steps that are finished.

    What a driver that lives is running stays, whatever else is known of it.
    """
    running = {key for claim in claims(store) if not is_gone(claim) for key in claim.steps}
    keep = frozenset[str]().union(running, *needed(store).values())
    left: defaultdict[str, list[str]] = defaultdict(list)
    for path in store.leftovers():
        left[posixpath.basename(posixpath.dirname(path))].append(path)
    for folder in sorted(store.fs.glob(posixpath.join(store.root, "steps", "*", "*"))):
        key, done = posixpath.basename(folder), store.fs.exists(posixpath.join(folder, MANIFEST))
        if key not in keep:
            yield Unneeded(
                folder, "no study has this step" if done else "unfinished, and no study has it", _size(store, folder)
            )
        elif done and key not in running:
            for path in left[key]:
                yield Unneeded(path, "left beside a finished step", _size(store, path))


def remove(store: Store, found: Unneeded) -> None:
    """Delete a folder; of a step, the manifest goes first, so that nobody sees half of it."""
    manifest = posixpath.join(found.path, MANIFEST)
    if store.fs.exists(manifest):
        store.fs.rm(manifest)
    store.fs.rm(found.path, recursive=True)


def _size(store: Store, folder: str) -> int:
    return store.fs.du(folder)
