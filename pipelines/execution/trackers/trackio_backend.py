"""Logs to Trackio, which keeps runs in local files; `trackio show` displays them."""

from __future__ import annotations

import os
import sys
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
            self._runs[run.id] = _silent_library().init(
                project=self._target.project,
                group=self._target.group,
                name=f"{run.name} {run.id}",  # Trackio finds a run that continues by its name
                config=dict(run.config),
                resume="allow",
                embed=False,
                auto_log_cpu=False,  # it would measure the driver's machine, in a thread for each run
                auto_log_gpu=False,
            )
        return self._runs[run.id]


def _silent_library() -> Any:
    """Return the library without its messages: it has no switch for them, and the terminal displays the progress."""
    library = import_module("trackio")
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == "trackio":
            module.__dict__["print"] = _discard
    return library


def _discard(*texts: object, **options: object) -> None:
    """Take the place of `print`."""
