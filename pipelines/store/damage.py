"""Finished steps whose files are not as they were written: found before a run builds on them, and made again."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.store.manifest import Manifest
from pipelines.store.store import MANIFEST, Store
from pipelines.store.upkeep import what_is_wrong
from pipelines.study.steps import Step


def damaged(store: Store, steps: Mapping[str, Step], done: Collection[str]) -> dict[str, str]:
    """What is wrong with finished steps (`done`, of all `steps` by key), by key.

    Sizes are compared of all, hashes where an unfinished step will read the files.
    """
    read = {needed.key for step in steps.values() if step.key not in done for needed in step.inputs}
    listed: Mapping[str, Any] = store.fs.find(posixpath.join(store.root, "steps"), detail=True) if done else {}
    sizes = {path: entry["size"] for path, entry in listed.items()}
    found = {key: _wrong(store, steps[key], sizes, key in read) for key in steps if key in done}
    return {key: wrong for key, wrong in found.items() if wrong}


def made_of(steps: Mapping[str, Step], keys: Collection[str]) -> set[str]:
    """All steps that are made of these, directly or not. A step comes after its inputs."""
    below: set[str] = set()
    for step in steps.values():
        if any(needed.key in keys or needed.key in below for needed in step.inputs):
            below.add(step.key)
    return below


def _wrong(store: Store, step: Step, sizes: Mapping[str, int], read: bool) -> str:
    folder = store.folder(step.kind, step.key)
    try:
        manifest = Manifest.model_validate_json(store.read_bytes(posixpath.join(folder, MANIFEST)))
    except ValidationError:
        return f"{MANIFEST} can not be read"
    for shard in manifest.shards:
        size = sizes.get(posixpath.join(folder, shard.file))
        if size is None:
            return f"{shard.file} is missing"
        if size != shard.bytes:
            return f"{shard.file} has {size:,} bytes instead of {shard.bytes:,}"
        if read and (wrong := what_is_wrong(store, folder, shard)):
            return wrong
    return ""
