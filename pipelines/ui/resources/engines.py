"""The engines of a run, and the lines that it printed."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from pipelines.store import atomic_files as files
from pipelines.store.studies.run_record import study_folder
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader, StudyState

MAX_EVENTS = 2000
MAX_EVENT_BYTES = 4 * 2**20


def list_engines(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the engines of the present or last run, with their throughput of the last minutes."""
    live = state.live
    if live is None:
        return {"running": False, "engines": []}
    engines = [{"name": name} | engine.model_dump() for name, engine in sorted(live.engines.items())]
    return {"running": state.running, "at": live.at, "engines": engines}


def list_messages(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the lines of the present or last run, and the last events of its log in the store, if it wrote one."""
    lines = [message.model_dump() for message in state.live.messages] if state.live else []
    folder = posixpath.join(study_folder(reader.store, state.name), "events")
    logs = sorted(files.list_files(reader.store.fs, posixpath.join(folder, "*.jsonl")))
    return {"messages": lines, "events": _events(reader, logs[-1]) if logs else []}


def _events(reader: StoreReader, path: str) -> list[dict[str, Any]]:
    size = reader.store.fs.size(path) or 0
    start = max(0, size - MAX_EVENT_BYTES)
    lines = reader.store.fs.cat_file(path, start=start).split(b"\n")[1 if start else 0 :]
    found: list[dict[str, Any]] = []
    for line in lines[-MAX_EVENTS:]:
        try:
            event = json.loads(line)
        except ValueError:  # the last line may still be being written
            continue
        if isinstance(event, dict):
            found.append({str(name): value for name, value in event.items()})  # pyright: ignore[reportUnknownVariableType]
    return found
