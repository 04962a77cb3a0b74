"""Verifies a store: are the files of finished steps as they were written?"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq
from pydantic import ValidationError

from pipelines.rows.arrow import column_types
from pipelines.store.manifest import Manifest, Shard
from pipelines.store.store import MANIFEST, Store

HASH_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class VerifiedStep:
    """A finished step, the size of its files, and what is wrong with them (an empty tuple if nothing is)."""

    kind: str
    key: str
    label: str
    bytes: int
    problems: tuple[str, ...]


def verify(store: Store) -> Iterator[VerifiedStep]:
    """Hash every file of every finished step, block by block, and compare it with the manifest."""
    for path in sorted(store.fs.glob(posixpath.join(store.root, "steps", "*", "*", MANIFEST))):
        folder = posixpath.dirname(path)
        kind, key = posixpath.split(folder)[0].rsplit("/", 1)[-1], posixpath.basename(folder)
        try:
            manifest = Manifest.model_validate_json(store.read_bytes(path))
        except ValidationError as error:
            yield VerifiedStep(
                kind, key, f"{kind} {key[:8]}", 0, (f"{MANIFEST} cannot be read: {error.error_count()} errors",)
            )
            continue
        found = (
            shard_problem(store, folder, shard) or _schema_problem(store, folder, shard, manifest)
            for shard in manifest.shards
        )
        problems = tuple(filter(None, found))
        yield VerifiedStep(kind, key, manifest.label, sum(shard.bytes for shard in manifest.shards), problems)


def shard_problem(store: Store, folder: str, shard: Shard) -> str:
    """Return what is wrong with a file of a step, by its size and hash; an empty text if nothing is."""
    digest, size = hashlib.sha256(), 0
    try:
        with store.fs.open(posixpath.join(folder, shard.file), "rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        return f"{shard.file} is missing"
    if size != shard.bytes:
        return f"{shard.file} has {size:,} bytes instead of {shard.bytes:,}"
    return "" if digest.hexdigest() == shard.sha256 else f"{shard.file} was changed after it was written"


def _schema_problem(store: Store, folder: str, shard: Shard, manifest: Manifest) -> str:
    """Return how a file's columns differ from those in the manifest; an empty text if they do not."""
    expected = manifest.schemas.get(shard.file.partition("-")[0])
    if expected is None:
        return ""
    with store.fs.open(posixpath.join(folder, shard.file), "rb") as file:
        return (
            ""
            if column_types(pq.read_schema(file)) == expected
            else f"{shard.file} has other columns than {MANIFEST} lists"
        )
