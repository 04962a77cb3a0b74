"""What has been logged to a tracker, so that a run that continues logs nothing twice."""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class TrackerLog(BaseModel):
    """Keys of the steps that were logged as finished, and the last optimizer step of each training in progress."""

    finished: dict[str, int] = {}
    live: dict[str, int] = {}


def load_tracker_log(store: Store, study: str, tracker: str) -> TrackerLog:
    """Return what has been logged to a tracker; nothing if it is new.

    Raises:
        CorruptStore: If the file is damaged.
    """
    try:
        remedy = "delete it; what was logged is logged again"
        return store.read_json(_path(store, study, tracker), TrackerLog.model_validate_json, remedy)
    except FileNotFoundError:
        return TrackerLog()


def save_tracker_log(store: Store, study: str, tracker: str, log: TrackerLog) -> None:
    """Save what has been logged to a tracker."""
    store.write_bytes(_path(store, study, tracker), log.model_dump_json().encode())


def _path(store: Store, study: str, tracker: str) -> str:
    return posixpath.join(study_folder(store, study), "trackers", f"{tracker}.json")
