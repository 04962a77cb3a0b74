"""Sends what a run reports to the study's trackers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from rich.markup import escape

from pipelines.execution.runtime.progress import ProgressDisplay, ProgressUpdate
from pipelines.execution.trackers.backend import Target
from pipelines.execution.trackers.facts import StudyFacts
from pipelines.execution.trackers.registry import make_backend, missing_library
from pipelines.execution.trackers.worker import Event, TrackerWorker
from pipelines.planning.plan import Plan
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.file.load import LoadedStudy
from pipelines.study.spec.common.trackers import Tracker

FOLDER_BESIDE = "evolgrid-trackers"  # in the current folder, for a store that is a URL


class _Sender:
    """Passes losses and finished steps to all trackers."""

    def __init__(self, workers: Sequence[TrackerWorker]) -> None:
        self._workers = workers

    def observe(self, update: ProgressUpdate) -> None:
        """Send a loss, or that a step has finished."""
        if update.finished or update.loss is not None:
            for worker in self._workers:
                worker.send(Event(update.key, update.done, None if update.finished else update.loss))

    def message(self, markup: str) -> None:
        """Ignore lines of the run's output, which may contain anything."""


@contextmanager
def tracking(loaded: LoadedStudy, store: Store, plan: Plan, progress: ProgressDisplay) -> Generator[None]:
    """Log what a run reports within the block, in which this process is the study's driver."""
    study = loaded.study
    facts = StudyFacts(study, loaded.folder, plan.grid, store)

    def warn(line: str) -> None:
        progress.print(f"[yellow]{escape(line)}[/yellow]")

    with ExitStack() as stack:
        workers: list[TrackerWorker] = []
        for tracker in study.trackers:
            if note := missing_library(tracker):
                warn(note)
                continue
            make = partial(make_backend, tracker.tracker, target_of(tracker, loaded, store))
            worker = TrackerWorker(tracker.tracker, log_id(tracker), make, facts, warn)
            worker.start(key for key in plan.grid.steps if key in plan.done)
            stack.callback(worker.close)
            workers.append(worker)
        if workers:
            stack.enter_context(progress.observed_by(_Sender(workers)))
        yield


def target_of(tracker: Tracker, loaded: LoadedStudy, store: Store) -> Target:
    """Return where a tracker of a study logs to."""
    study = loaded.study.study
    if tracker.dir is not None:
        folder = loaded.folder / tracker.dir
    elif isinstance(store.fs, LocalFileSystem):
        folder = Path(study_folder(store, study)) / tracker.tracker
    else:
        folder = Path.cwd() / FOLDER_BESIDE / study / tracker.tracker
    return Target(tracker.project, study, folder, tracker.offline, tracker.uri)


def log_id(tracker: Tracker) -> str:
    """Return the name of a tracker's log in the store: another one for each place to log to."""
    place = json.dumps(tracker.model_dump(mode="json"), sort_keys=True)
    return f"{tracker.tracker}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
