"""What was tried again in a study's last run, and how often that may be: `studies/NAME/retries.json` in the store."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class Retry(BaseModel):
    """What was tried again: `of` is a model or a step, `allowed` says how often it may be before it is given up."""

    level: Literal["request", "replica", "step", "training"]
    of: str
    spent: int
    allowed: str


_LIST = TypeAdapter(list[Retry])


def save_retries(store: Store, study: str, retries: Iterable[Retry]) -> None:
    """Keep what was tried again in a run, in place of the run before."""
    store.write_bytes(_path(store, study), _LIST.dump_json([*retries], indent=1))


def load_retries(store: Store, study: str) -> list[Retry]:
    """What was tried again in the study's last run; nothing if there was none. Raises Spoilt."""
    try:
        return store.read_json(_path(store, study), _LIST.validate_json, "delete it, the next run writes another")
    except FileNotFoundError:
        return []


def _path(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "retries.json")
