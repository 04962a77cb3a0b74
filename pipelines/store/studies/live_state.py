"""The present state of a running study, which its driver writes every few seconds: `studies/NAME/live.json`."""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class StepProgress(BaseModel):
    """The progress of an unfinished step, in rows or optimizer steps. `per_second` is that of its last changes."""

    done: int
    total: int
    per_second: float = 0.0
    note: str = ""


class EngineSample(BaseModel):
    """The throughput and the queue of an engine at a time (seconds since the epoch)."""

    at: float
    tokens_per_second: float
    queued: int


class EngineState(BaseModel):
    """The engine of a model: its replicas, open requests, and totals since its start. `samples` are its last minutes.

    `active` is whether the run uses it at present.
    """

    active: bool = True
    replicas: int = 0
    queued: int = 0
    in_flight: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    loads: int = 0
    crashes: int = 0
    retried: int = 0
    samples: list[EngineSample] = []


class Message(BaseModel):
    """A line of a run's output, and when it was printed (ISO 8601)."""

    at: str
    text: str


class LiveState(BaseModel):
    """The state of a run when it was last written, at `at` (ISO 8601).

    `ended` is how the run ended; it is empty during the run. `losses` has the (step, loss) points of the trainings in
    progress, by step key; long curves are thinned. `failures` are the reasons of failed steps by key.
    """

    started: str
    at: str
    ended: str = ""
    steps: dict[str, StepProgress] = {}
    engines: dict[str, EngineState] = {}
    messages: list[Message] = []
    losses: dict[str, list[tuple[int, float]]] = {}
    failures: dict[str, str] = {}


def save_live(store: Store, study: str, state: LiveState) -> None:
    """Save the state of a run, and replace the one before."""
    store.write_bytes(_path(store, study), state.model_dump_json().encode())


def load_live(store: Store, study: str) -> LiveState | None:
    """Return the last state of a study's last run; None if there is none.

    Raises:
        CorruptStore: If the file is damaged.
    """
    try:
        return store.read_json(_path(store, study), LiveState.model_validate_json, "delete it; a run writes a new one")
    except FileNotFoundError:
        return None


def _path(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "live.json")
