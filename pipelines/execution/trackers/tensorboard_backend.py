"""Logs to TensorBoard: an event file for each run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipelines.execution.trackers.backend import Target, TrackedRun


class TensorBoardBackend:
    """Writes event files to FOLDER/RUN. A run that continues adds a file to its folder."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._writers: dict[str, Any] = {}

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        """Write one event with all numbers."""
        events: Any = import_module("tensorboard.compat.proto.event_pb2")
        summaries: Any = import_module("tensorboard.compat.proto.summary_pb2")
        found = [summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        writer = self._writer(run)
        writer.add_event(events.Event(wall_time=time.time(), step=step, summary=summaries.Summary(value=found)))
        writer.flush()

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, run: TrackedRun) -> Any:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if run.id not in self._writers:
            # several processes may start in the same second, and the names of event files end with the second and pid
            self._writers[run.id] = EventFileWriter(str(self._target.folder / _folder_name(run)))
        return self._writers[run.id]


def _folder_name(run: TrackedRun) -> str:
    readable = "".join(char if char.isalnum() or char in "-._" else "-" for char in run.name)
    return f"{readable[:80]}-{run.id.rpartition('-')[2]}"
