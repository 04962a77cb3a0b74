"""Logs to MLflow: its tracking server, or local files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipelines.execution.trackers.backend import Target, TrackedRun

RUN_TAG = "evolgrid.run"
MAX_PARAMETER = 500  # characters of a value


class MlflowBackend:
    """Keeps a run for each training in the experiment of the project. It finds runs that continue by their tag."""

    def __init__(self, target: Target) -> None:
        uri = f"sqlite:///{target.folder.absolute()}/mlflow.db" if target.offline else target.uri
        if target.offline:
            target.folder.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._client: Any = _silent_library().MlflowClient(tracking_uri=uri)
        self._experiment = self._experiment_id()
        self._runs: dict[str, str] = {}

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at a step."""
        for name, value in values.items():
            self._client.log_metric(self._run_id(run), _metric_name(name), value, step=step)

    def close(self) -> None:
        """Mark all runs as finished."""
        while self._runs:
            _, run_id = self._runs.popitem()
            self._client.set_terminated(run_id)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._target.project)
        return found.experiment_id if found else self._client.create_experiment(self._target.project)

    def _run_id(self, run: TrackedRun) -> str:
        if run.id not in self._runs:
            known = self._client.search_runs([self._experiment], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1)
            self._runs[run.id] = known[0].info.run_id if known else self._create(run)
        return self._runs[run.id]

    def _create(self, run: TrackedRun) -> str:
        tags = {RUN_TAG: run.id, "evolgrid.study": self._target.group}
        run_id: str = self._client.create_run(self._experiment, run_name=run.name, tags=tags).info.run_id
        for name, value in run.config.items():
            self._client.log_param(run_id, name, str(value)[:MAX_PARAMETER])
        return run_id


def _silent_library() -> Any:
    """Return the library without its messages: the terminal displays the progress."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    library = import_module("mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return library


def _metric_name(name: str) -> str:
    """Return a name with the characters that MLflow takes."""
    return "".join(char if char.isalnum() or char in "_-. /" else "-" for char in name)
