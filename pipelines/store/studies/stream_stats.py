"""What Ray Data measured of each finished stream: `studies/NAME/streams/TIME.json` in the store, one file each."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel

from pipelines.store import atomic_files as files
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class OperatorStats(BaseModel):
    """One operator of Ray Data. `wall_seconds`, `cpu_seconds` and `output_bytes` are sums over its blocks.

    `rows` are what it put out; what a stream deals out are units of many rows each. `peak_bytes` is the unique set size
    of a worker at most, None where the machine does not tell; `waited_seconds` is backpressure, of both directions.
    """

    operator: str
    wall_seconds: float
    cpu_seconds: float
    rows: int
    output_bytes: int
    failed_tasks: int
    peak_bytes: int | None
    waited_seconds: float


class StreamStats(BaseModel):
    """One stream: its steps (key -> label), which share all figures, Ray Data's operators, and Ray's own text."""

    ended: datetime
    seconds: float
    steps: dict[str, str]
    operators: list[OperatorStats]
    text: str


def save_stream(store: Store, study: str, stats: StreamStats) -> None:
    """Keep what was measured, beside that of the study's earlier streams."""
    path = posixpath.join(study_folder(store, study), "streams", f"{stats.ended:%Y%m%dT%H%M%S.%fZ}.json")
    store.write_bytes(path, stats.model_dump_json(indent=1).encode())


def load_streams(store: Store, keys: Collection[str]) -> list[StreamStats]:
    """The newest stream of each of these steps, whichever study ran it; oldest first."""
    paths = files.list_files(store.fs, posixpath.join(study_folder(store, "*"), "streams", "*.json"))
    found = sorted((StreamStats.model_validate_json(store.read_bytes(path)) for path in paths), key=lambda s: s.ended)
    newest = {key: number for number, stream in enumerate(found) for key in stream.steps if key in keys}
    return [found[number] for number in sorted(set(newest.values()))]
