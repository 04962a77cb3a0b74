"""Finished steps that are not as they were written: found before a run builds on them, and made again."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.store.maintenance.verify import shard_problem
from pipelines.store.manifest import Manifest
from pipelines.store.store import MANIFEST, Store
from pipelines.study.graph.step import Step

MISSING = "it is not there any more"


def find_corrupt_steps(store: Store, steps: Mapping[str, Step], done: Collection[str]) -> dict[str, str]:
    """What is wrong with finished steps (`done`, of all `steps` by key), by key.

    Sizes are compared of all, hashes where a step will read the files that is unfinished or made again. A step that is
    gone, though something was made of it, is damaged too.
    """
    found = {
        needed.key: MISSING for key in steps if key in done for needed in steps[key].inputs if needed.key not in done
    }
    listed: Mapping[str, Any] = store.fs.find(posixpath.join(store.root, "steps"), detail=True) if done else {}
    sizes = {path: entry["size"] for path, entry in listed.items()}
    found |= _steps_of((steps[key] for key in steps if key in done), lambda step: _size_changed(store, step, sizes))
    hashed: set[str] = set()
    while read := _steps_to_hash(steps, done, found) - hashed:
        hashed |= read
        found |= _steps_of((steps[key] for key in read), lambda step: _content_changed(store, step))
    return found


def downstream_of(steps: Mapping[str, Step], keys: Collection[str]) -> set[str]:
    """All steps that are made of these, directly or not. A step comes after its inputs."""
    below: set[str] = set()
    for step in steps.values():
        if any(needed.key in keys or needed.key in below for needed in step.inputs):
            below.add(step.key)
    return below


def _steps_to_hash(steps: Mapping[str, Step], done: Collection[str], found: Collection[str]) -> set[str]:
    """The finished steps, not found to be damaged, that steps read which will run."""
    again = downstream_of(steps, found)
    will_run = (step for key, step in steps.items() if key not in done or key in found or key in again)
    return {needed.key for step in will_run for needed in step.inputs} & set(done) - set(found) - again


def _steps_of(steps: Iterable[Step], find_problem: Callable[[Step], str]) -> dict[str, str]:
    return {step.key: told for step in steps if (told := find_problem(step))}


def _content_changed(store: Store, step: Step) -> str:
    """What is wrong with the content of a step's files."""
    folder, shards = store.folder(step.kind, step.key), store.manifest(step.kind, step.key).shards
    return next(filter(None, (shard_problem(store, folder, shard) for shard in shards)), "")


def _size_changed(store: Store, step: Step, sizes: Mapping[str, int]) -> str:
    """What is wrong with a step's manifest, or the sizes of its files."""
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
    return ""


def invalidate(store: Store, step: Step) -> None:
    """Have a step made again: it does not exist any more, nor do parts of it, which were made of other rows."""
    store.invalidate(step.kind, step.key)
    store.remove(store.partition_files(step.kind, step.key, "*.parquet"))
