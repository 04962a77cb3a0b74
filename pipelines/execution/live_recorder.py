"""Writes the present state of a run to the store every few seconds, for those who watch it from elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.text import Text

from actors.serving.spec import PoolStats
from pipelines.execution.runtime.progress import ProgressDisplay, ProgressUpdate
from pipelines.store.errors import LeaseLost
from pipelines.store.store import Store
from pipelines.store.studies.live_state import EngineSample, EngineState, LiveState, Message, StepProgress, save_live

WRITE_SECONDS = 2.0
SAMPLE_SECONDS = 2.0  # between the samples of an engine
MAX_SAMPLES = 150
MAX_MESSAGES = 500
MAX_LOSSES = 400  # of a training in progress; then every other point is dropped
RATE_SECONDS = 10.0  # over which the throughput of an engine is measured


@dataclass
class LiveRecorder:
    """Collects what a run reports, from any thread, and writes it in a thread of its own.

    Its driver must hold the study's lease: nothing is written once another driver has taken over.
    """

    store: Store
    study: str
    _state: LiveState = field(default_factory=lambda: LiveState(started=_now(), at=_now()))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tokens: dict[str, deque[tuple[float, int]]] = field(default_factory=dict[str, deque[tuple[float, int]]])
    _strides: dict[str, int] = field(default_factory=dict[str, int])

    def observe(self, update: ProgressUpdate) -> None:
        """Note the progress of a step, or that it has finished or failed."""
        with self._lock:
            if update.finished:
                self._state.steps.pop(update.key, None)
                self._state.losses.pop(update.key, None)
                if update.failure:
                    self._state.failures[update.key] = update.failure
                return
            self._state.steps[update.key] = StepProgress(
                done=update.done, total=update.total, per_second=update.per_second, note=update.note
            )
            if update.loss is not None:
                self._add_loss(update.key, update.done, update.loss)

    def message(self, markup: str) -> None:
        """Note a line of the run's output."""
        with self._lock:
            self._state.messages.append(Message(at=_now(), text=Text.from_markup(markup).plain))
            del self._state.messages[:-MAX_MESSAGES]

    def observe_pools(self, stats: Mapping[str, PoolStats]) -> None:
        """Note the statistics of the pools that are in use. Without pools, the stream has finished."""
        with self._lock:
            for name, state in self._state.engines.items():
                state.active = name in stats
            for name, each in stats.items():
                self._state.engines[name] = self._engine(name, each)

    def write(self) -> None:
        """Write the state unless another driver has taken over the study."""
        with self._lock:
            self._state.at = _now()
            state = self._state.model_copy(deep=True)
        with contextlib.suppress(LeaseLost):
            self.store.fence()
            save_live(self.store, self.study, state)

    def end(self, how: str) -> None:
        """Write how the run ended."""
        with self._lock:
            self._state.ended = how
            for engine in self._state.engines.values():
                engine.active = False
        self.write()

    def _add_loss(self, key: str, step: int, loss: float) -> None:
        points, stride = self._state.losses.setdefault(key, []), self._strides.setdefault(key, 1)
        if (points and points[-1][0] >= step) or step % stride:
            return
        points.append((step, loss))
        if len(points) > MAX_LOSSES:
            self._strides[key] = stride * 2
            points[:] = [point for point in points if point[0] % (stride * 2) == 0]

    def _engine(self, name: str, stats: PoolStats) -> EngineState:
        work, before = stats.totals, self._state.engines.get(name)
        samples = before.samples if before else []
        now = time.time()
        if not samples or now - samples[-1].at >= SAMPLE_SECONDS:
            rate = self._tokens_per_second(name, work.tokens_in + work.tokens_out)
            samples = [*samples, EngineSample(at=now, tokens_per_second=rate, queued=stats.queued)][-MAX_SAMPLES:]
        return EngineState(
            replicas=stats.replicas,
            queued=stats.queued,
            in_flight=stats.in_flight,
            requests=work.requests,
            tokens_in=work.tokens_in,
            tokens_out=work.tokens_out,
            loads=work.loads,
            crashes=work.crashes,
            retried=stats.retried,
            samples=samples,
        )

    def _tokens_per_second(self, name: str, tokens: int) -> float:
        """Return the throughput since a sample `RATE_SECONDS` ago. The totals of a model's new pool start at 0."""
        known, now = self._tokens.setdefault(name, deque()), time.monotonic()
        if known and tokens < known[-1][1]:
            known.clear()
        known.append((now, tokens))
        while len(known) > 2 and now - known[0][0] > RATE_SECONDS:
            known.popleft()
        passed = now - known[0][0]
        return (tokens - known[0][1]) / passed if passed else 0.0


@contextmanager
def recording(store: Store, study: str, progress: ProgressDisplay) -> Generator[LiveRecorder]:
    """Write the state of a run within the block, in which this process is the study's driver."""
    recorder, stopped = LiveRecorder(store, study), threading.Event()

    def watch() -> None:
        while not stopped.wait(WRITE_SECONDS):
            with contextlib.suppress(Exception):  # a temporary failure of the store, of any type: the next write counts
                recorder.write()

    thread = threading.Thread(target=watch, name="live", daemon=True)
    ended = "stopped"
    recorder.write()
    with progress.observed_by(recorder):
        thread.start()
        try:
            yield recorder
            ended = "finished"
        except KeyboardInterrupt:
            ended = "interrupted"
            raise
        finally:
            stopped.set()
            thread.join()
            with contextlib.suppress(OSError):
                recorder.end(ended)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
