"""What a study's last run planned and took, kept beside its report: `studies/NAME/record.json` in the store."""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.store.store import Store


class RunRecord(BaseModel):
    """Times in seconds. `planned` is by step key; `ran` names the steps of the last run that ran any."""

    created: str
    wall_seconds: float
    planned_wall: float = 0.0
    peak_memory_gib: float | None
    planned: dict[str, float]
    ran: list[str]


def study_folder(store: Store, study: str) -> str:
    """Where a study's report and record lie, on the store's file system."""
    return posixpath.join(store.root, "studies", study)


def load_record(store: Store, study: str) -> RunRecord | None:
    """The record of a study, if it ever ran in this store. Raises Spoilt."""
    path = posixpath.join(study_folder(store, study), "record.json")
    try:
        return store.read_json(path, RunRecord.model_validate_json, "delete it, the next run writes another")
    except FileNotFoundError:
        return None


def save_record(store: Store, study: str, record: RunRecord) -> None:
    """Keep the record, in place of the one before."""
    data = record.model_dump_json(indent=1).encode()
    store.write_bytes(posixpath.join(study_folder(store, study), "record.json"), data)
