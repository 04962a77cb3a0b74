"""Logs to one tracker in a thread of its own, so that a slow or failing tracker neither delays nor ends the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Full, Queue

from pipelines.execution.trackers.backend import Backend, safe_line
from pipelines.execution.trackers.facts import Numbers, StudyFacts
from pipelines.store.errors import LeaseLost
from pipelines.store.studies.tracker_log import TrackerLog, load_tracker_log, save_tracker_log

MAX_WAITING = 100_000  # events; further ones are dropped, and finished steps logged by the next run
BATCH_SECONDS = 1.0
MAX_BATCH = 1000
CLOSE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Event:
    """A step has finished or, with a loss, a training has taken an optimizer step."""

    key: str
    step: int = 0
    loss: float | None = None


@dataclass
class TrackerWorker:
    """One tracker of a run. `id` names its log in the store, `warn` is called at most once, with one line."""

    name: str
    id: str
    make: Callable[[], Backend]
    facts: StudyFacts
    warn: Callable[[str], None]
    _events: Queue[Event | None] = field(default_factory=lambda: Queue[Event | None](MAX_WAITING))
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self, finished: Iterable[str]) -> None:
        """Start to log; first the steps that are finished already, unless an earlier run has logged them."""
        for key in finished:
            self.send(Event(key))
        self._thread = threading.Thread(target=self._run, name=f"tracker {self.name}", daemon=True)
        self._thread.start()

    def send(self, event: Event) -> None:
        """Have an event logged soon, unless the tracker has failed."""
        if not self._stopped.is_set():
            with suppress(Full):
                self._events.put_nowait(event)

    def close(self) -> None:
        """Log what is waiting and finish the tracker's runs, for a limited time."""
        with suppress(Full):
            self._events.put_nowait(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._stopped.set()
            self.warn(f"tracker {self.name}: still busy after {CLOSE_SECONDS:.0f} s; its last numbers may be missing")

    def _run(self) -> None:
        try:
            backend = self.make()
            try:
                self._log_all(backend)
            finally:
                backend.close()
        except LeaseLost:
            pass  # the run stops, and says so
        except Exception as error:  # of any library, for any reason: the run continues without it
            self.warn(f"tracker {self.name}: {safe_line(error)}; nothing more is logged there in this run")
        finally:
            self._stopped.set()

    def _log_all(self, backend: Backend) -> None:
        store, study = self.facts.store, self.facts.study.study
        log = load_tracker_log(store, study, self.id)
        for batch in self._batches():
            numbers = [*self._new(batch, log)]
            if not numbers or self._stopped.is_set():
                continue
            store.fence()
            save_tracker_log(store, study, self.id, log)  # first: a crash must not lead to anything being logged twice
            for each in numbers:
                backend.log(each.run, each.step, each.values)

    def _batches(self) -> Iterator[list[Event]]:
        """Yield the events that have come within a second, until the worker is closed."""
        ended = False
        while not ended:
            batch = list[Event]()
            with suppress(Empty):
                while len(batch) < MAX_BATCH:
                    event = self._events.get(timeout=BATCH_SECONDS)
                    if event is None:
                        ended = True
                        break
                    batch.append(event)
            yield batch

    def _new(self, batch: Iterable[Event], log: TrackerLog) -> Iterator[Numbers]:
        """Yield the numbers of events that are not logged yet, and note that they are."""
        for event in batch:
            if event.loss is None:
                yield from self._of_finished(event.key, log)
            elif event.key not in log.finished and event.step > log.live.get(event.key, 0):
                log.live[event.key] = event.step
                yield self.facts.live_loss(event.key, event.step, event.loss)

    def _of_finished(self, key: str, log: TrackerLog) -> Iterator[Numbers]:
        if key in log.finished:
            return
        count = len(log.finished) + 1
        with suppress(FileNotFoundError):  # the step has failed
            numbers = [*self.facts.finished(key, count)]
            log.finished[key] = count
            log.live.pop(key, None)
            yield from numbers
