"""Looking after a store: is everything as it was written, and what can go?"""

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
    """A finished step, and what is wrong with its files (nothing: an empty tuple). `bytes` were read."""

    kind: str
    key: str
    label: str
    bytes: int
    problems: tuple[str, ...]


def verify(store: Store) -> Iterator[VerifiedStep]:
    """Hash every file of every finished step again, block by block, and compare with what was written."""
    for path in sorted(store.fs.glob(posixpath.join(store.root, "steps", "*", "*", MANIFEST))):
        folder = posixpath.dirname(path)
        kind, key = posixpath.split(folder)[0].rsplit("/", 1)[-1], posixpath.basename(folder)
        try:
            manifest = Manifest.model_validate_json(store.read_bytes(path))
        except ValidationError as error:
            yield VerifiedStep(
                kind, key, f"{kind} {key[:8]}", 0, (f"{MANIFEST} can not be read: {error.error_count()} errors",)
            )
            continue
        found = (
            shard_problem(store, folder, shard) or _schema_problem(store, folder, shard, manifest)
            for shard in manifest.shards
        )
        problems = tuple(filter(None, found))
        yield VerifiedStep(kind, key, manifest.label, sum(shard.bytes for shard in manifest.shards), problems)


def shard_problem(store: Store, folder: str, shard: Shard) -> str:
    """What is wrong with a file of a step, by its hash; nothing: an empty text."""
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
    """Whether a file's columns are not those that the manifest tells; nothing: an empty text."""
    expected = manifest.schemas.get(shard.file.partition("-")[0])
    if expected is None:
        return ""
    with store.fs.open(posixpath.join(folder, shard.file), "rb") as file:
        return (
            ""
            if column_types(pq.read_schema(file)) == expected
            else f"{shard.file} has other columns than {MANIFEST} tells"
        )
