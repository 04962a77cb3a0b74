"""The trackers by name: their libraries, and what logs to them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from pipelines.execution.trackers.backend import Backend, Target
from pipelines.execution.trackers.mlflow_backend import MlflowBackend
from pipelines.execution.trackers.tensorboard_backend import TensorBoardBackend
from pipelines.execution.trackers.trackio_backend import TrackioBackend
from pipelines.execution.trackers.wandb_backend import WandbBackend
from pipelines.study.spec.common.trackers import Tracker, TrackerName


def make_backend(name: TrackerName, target: Target) -> Backend:
    """Return what logs to a tracker, whose library must be installed."""
    match name:
        case "tensorboard":
            return TensorBoardBackend(target)
        case "wandb":
            return WandbBackend(target)
        case "mlflow":
            return MlflowBackend(target)
        case "trackio":
            return TrackioBackend(target)


def missing_library(tracker: Tracker) -> str | None:
    """Return what to do about a tracker whose library is not installed; None if it is."""
    if find_spec(tracker.tracker) is not None:
        return None
    return f"the tracker {tracker.tracker} is not installed. Run: pip install 'evolgrid[{tracker.tracker}]'"


def tracker_notes(trackers: Iterable[Tracker]) -> list[str]:
    """Return a line for each tracker that will be left out because its library is missing."""
    return [f"Nothing will be logged there: {note}" for tracker in trackers if (note := missing_library(tracker))]
