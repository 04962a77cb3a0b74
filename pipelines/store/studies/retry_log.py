"""The retries of a study's last run, and their limits: `studies/NAME/retries.json` in the store."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class Retry(BaseModel):
    """The retries of a model or step (`of`): how many were `spent`, and how many are `allowed` (a text)."""

    level: Literal["request", "replica", "step", "training"]
    of: str
    spent: int
    allowed: str


_LIST = TypeAdapter(list[Retry])


def save_retries(store: Store, study: str, retries: Iterable[Retry]) -> None:
    """Save the retries of a run, and replace those of the run before."""
    store.write_bytes(_path(store, study), _LIST.dump_json([*retries], indent=1))


def load_retries(store: Store, study: str) -> list[Retry]:
    """Return the retries of the study's last run; an empty list if there are none.

    Raises:
        CorruptStore: If the file is damaged.
    """
    try:
        return store.read_json(_path(store, study), _LIST.validate_json, "delete it; the next run writes a new one")
    except FileNotFoundError:
        return []


def _path(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "retries.json")
