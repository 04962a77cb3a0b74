"""The planned and measured times of a study's last run: `studies/NAME/record.json` in the store, beside the report."""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.store.store import Store


class RunRecord(BaseModel):
    """Times in seconds. `planned` is by step key; `ran` has the keys of the steps that were executed.

    A run that finds all steps finished leaves the record as it is.
    """

    created: str
    wall_seconds: float
    planned_wall: float = 0.0
    peak_memory_gib: float | None
    planned: dict[str, float]
    ran: list[str]


def study_folder(store: Store, study: str) -> str:
    """Return the folder of a study's report and record, as a path on the store's file system."""
    return posixpath.join(store.root, "studies", study)


def load_record(store: Store, study: str) -> RunRecord | None:
    """Return the record of a study; None if it never ran in this store.

    Raises:
        CorruptStore: If the record is damaged.
    """
    path = posixpath.join(study_folder(store, study), "record.json")
    try:
        return store.read_json(path, RunRecord.model_validate_json, "delete it; the next run writes a new one")
    except FileNotFoundError:
        return None


def save_record(store: Store, study: str, record: RunRecord) -> None:
    """Save the record, and replace the one before."""
    data = record.model_dump_json(indent=1).encode()
    store.write_bytes(posixpath.join(study_folder(store, study), "record.json"), data)
