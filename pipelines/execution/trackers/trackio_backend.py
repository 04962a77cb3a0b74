"""Logs to Trackio, which keeps runs in local files; `trackio show` displays them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipelines.execution.trackers.backend import Target, TrackedRun


class TrackioBackend:
    """Keeps a run open for each training, all of them in the group of the study."""

    def __init__(self, target: Target) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(target.folder))  # read when the library is imported
        self._target = target
        self._runs: dict[str, Any] = {}

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at a step."""
        self._run(run).log(dict(values), step=step)

    def close(self) -> None:
        """Finish all runs."""
        while self._runs:
            _, run = self._runs.popitem()
            run.finish()

    def _run(self, run: TrackedRun) -> Any:
        if run.id not in self._runs:
            self._runs[run.id] = import_module("trackio").init(
                project=self._target.project,
                group=self._target.group,
                name=f"{run.name} {run.id}",  # Trackio finds a run that continues by its name
                config=dict(run.config),
                resume="allow",
                embed=False,
            )
        return self._runs[run.id]
