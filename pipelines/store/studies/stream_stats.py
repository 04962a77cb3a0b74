"""Ray Data's statistics of each finished stream, in a file of the store: `studies/NAME/streams/TIME.json`."""

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

    `rows` counts the operator's outputs: the results of all steps, rejected and failed rows included.
    `peak_bytes` is the largest unique set size of a worker, None if the machine does not report it. `waited_seconds`
    is the time lost to backpressure, of inputs and outputs.
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
    """One stream: its steps (key -> label), which share all figures, Ray Data's operators, and Ray's own summary."""

    ended: datetime
    seconds: float
    steps: dict[str, str]
    operators: list[OperatorStats]
    text: str


def save_stream(store: Store, study: str, stats: StreamStats) -> None:
    """Save the statistics of a stream, beside those of the study's earlier streams."""
    path = posixpath.join(study_folder(store, study), "streams", f"{stats.ended:%Y%m%dT%H%M%S.%fZ}.json")
    store.write_bytes(path, stats.model_dump_json(indent=1).encode())


def load_streams(store: Store, keys: Collection[str]) -> list[StreamStats]:
    """Return the newest stream of each of these steps, whichever study ran it; oldest first."""
    paths = files.list_files(store.fs, posixpath.join(study_folder(store, "*"), "streams", "*.json"))
    found = sorted((StreamStats.model_validate_json(store.read_bytes(path)) for path in paths), key=lambda s: s.ended)
    newest = {key: number for number, stream in enumerate(found) for key in stream.steps if key in keys}
    return [found[number] for number in sorted(set(newest.values()))]
