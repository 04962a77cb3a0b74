"""Epochs: every run of a store has a number, larger than all before it. Names of unfinished work contain it."""

from __future__ import annotations

import posixpath
from contextlib import suppress

from pipelines.store import atomic_files as files
from pipelines.store.store import Store


def next_epoch(store: Store) -> int:
    """Take and return the next epoch. No clock is used, and runs that start at the same time get different epochs."""
    folder = posixpath.join(store.root, "epochs")
    while True:
        mine = max(_used_epochs(store, folder), default=0) + 1
        if not files.create_exclusive(store.fs, posixpath.join(folder, f"{mine:06d}"), b""):
            continue
        taken = _used_epochs(store, folder)
        if mine >= max(taken, default=0):
            for old in taken - {mine}:
                with suppress(FileNotFoundError):  # another run has removed it
                    store.fs.rm(posixpath.join(folder, f"{old:06d}"))
            files.remove_temporary(store.fs, posixpath.join(folder, "*"))
            return mine


def is_newest(store: Store) -> bool:
    """Return whether no other run has started since the run that this store object belongs to."""
    return store.epoch >= max(_used_epochs(store, posixpath.join(store.root, "epochs")), default=0)


def _used_epochs(store: Store, folder: str) -> set[int]:
    paths = files.list_files(store.fs, posixpath.join(folder, "[0-9]" * 6))
    return {int(posixpath.basename(path)) for path in paths}
