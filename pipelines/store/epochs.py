"""Every run of a store has a number, larger than those of all before: unfinished work is named by it."""

from __future__ import annotations

import posixpath
from contextlib import suppress

from pipelines.store import atomic_files as files
from pipelines.store.store import Store


def next_epoch(store: Store) -> int:
    """Take the next number. No clock is asked, and of several that take one at once, each gets another."""
    folder = posixpath.join(store.root, "epochs")
    while True:
        mine = max(_used_epochs(store, folder), default=0) + 1
        if not files.create_exclusive(store.fs, posixpath.join(folder, f"{mine:06d}"), b""):
            continue
        taken = _used_epochs(store, folder)
        if mine >= max(taken, default=0):
            for old in taken - {mine}:
                with suppress(FileNotFoundError):  # another one has removed it
                    store.fs.rm(posixpath.join(folder, f"{old:06d}"))
            files.remove_temporary(store.fs, posixpath.join(folder, "*"))
            return mine


def is_newest(store: Store) -> bool:
    """Whether no run of the store has begun since the one that this store's handle belongs to."""
    return store.epoch >= max(_used_epochs(store, posixpath.join(store.root, "epochs")), default=0)


def _used_epochs(store: Store, folder: str) -> set[int]:
    paths = files.list_files(store.fs, posixpath.join(folder, "[0-9]" * 6))
    return {int(posixpath.basename(path)) for path in paths}
