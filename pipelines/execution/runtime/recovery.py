"""Finds finished steps whose files are missing or corrupt, and invalidates them so that a run recomputes them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.store.maintenance.verify import shard_problem
from pipelines.store.manifest import Manifest
from pipelines.store.store import MANIFEST, Store
from pipelines.study.graph.steps.step import Step

MISSING = "the step is missing"


def find_corrupt_steps(store: Store, steps: Mapping[str, Step], done: Collection[str]) -> dict[str, str]:
    """Return what is wrong with finished steps, by key. `steps` are all steps by key, `done` the keys of finished ones.

    File sizes are compared for all finished steps. Hashes are compared only for files that a pending or recomputed step
    will read. A missing step also counts as damaged if a finished step was made from it.
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
    """Return the keys of all direct and indirect dependents of `keys`. In `steps`, a step comes after its inputs."""
    below: set[str] = set()
    for step in steps.values():
        if any(needed.key in keys or needed.key in below for needed in step.inputs):
            below.add(step.key)
    return below


def _steps_to_hash(steps: Mapping[str, Step], done: Collection[str], found: Collection[str]) -> set[str]:
    """Return the undamaged finished steps that the steps of the coming run will read."""
    again = downstream_of(steps, found)
    will_run = (step for key, step in steps.items() if key not in done or key in found or key in again)
    return {needed.key for step in will_run for needed in step.inputs} & set(done) - set(found) - again


def _steps_of(steps: Iterable[Step], find_problem: Callable[[Step], str]) -> dict[str, str]:
    return {step.key: problem for step in steps if (problem := find_problem(step))}


def _content_changed(store: Store, step: Step) -> str:
    """Return what is wrong with the content of a step's files, or an empty text."""
    folder, shards = store.folder(step.kind, step.key), store.manifest(step.kind, step.key).shards
    return next(filter(None, (shard_problem(store, folder, shard) for shard in shards)), "")


def _size_changed(store: Store, step: Step, sizes: Mapping[str, int]) -> str:
    """Return what is wrong with a step's manifest or the sizes of its files, or an empty text."""
    folder = store.folder(step.kind, step.key)
    try:
        manifest = Manifest.model_validate_json(store.read_bytes(posixpath.join(folder, MANIFEST)))
    except ValidationError:
        return f"{MANIFEST} is corrupt"
    for shard in manifest.shards:
        size = sizes.get(posixpath.join(folder, shard.file))
        if size is None:
            return f"{shard.file} is missing"
        if size != shard.bytes:
            return f"{shard.file} has {size:,} bytes instead of {shard.bytes:,}"
    return ""


def invalidate(store: Store, step: Step) -> None:
    """Invalidate a step so that it is recomputed. Delete its partition outputs, too: they were made from other rows."""
    store.invalidate(step.kind, step.key)
    store.remove(store.partition_files(step.kind, step.key, "*.parquet"))
