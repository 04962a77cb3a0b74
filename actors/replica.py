"""The actor that hosts one engine. Failures that belong to a request or a model come back as values, not as crashes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from actors.engine import (
    Engine,
    EngineSpec,
    GenerateRequest,
    Generation,
    LoadError,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
)
from actors.engines import create


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """What one replica has done since its process started. `busy_seconds` is the time with a request in flight."""

    pid: int
    requests: int
    tokens_in: int
    tokens_out: int
    busy_seconds: float
    rss_bytes: int


class Replica:
    """One engine at a time. Every call names the model that it means.

    A call for another model than the loaded one waits until the requests in flight have ended and then swaps, so a
    process that was restarted never answers with a model that nobody asked for.
    """

    def __init__(self, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported, which reads it once
        self._spec: EngineSpec | None = None
        self._engine: Engine | None = None
        self._failure: tuple[EngineSpec, LoadError] | None = None
        self._in_flight = 0
        self._state = asyncio.Condition()
        self._requests = self._tokens_in = self._tokens_out = 0
        self._busy, self._busy_since = 0.0, 0.0

    async def load(self, spec: EngineSpec) -> LoadError | None:
        """Make `spec` the loaded model; a LoadError is returned, not raised."""
        try:
            async with self._using(spec):
                return None
        except LoadError as error:
            return error

    async def generate(self, spec: EngineSpec, request: GenerateRequest) -> Generation | RequestError | LoadError:
        """Continue one conversation with the model `spec`."""
        try:
            async with self._using(spec) as engine:
                reply = await engine.generate(request)
        except (RequestError, LoadError) as error:
            return error
        self._count(reply.tokens_in, reply.tokens_out)
        return reply

    async def logprobs(self, spec: EngineSpec, request: LogprobRequest) -> TokenLogprobs | RequestError | LoadError:
        """Score one text with the model `spec`."""
        try:
            async with self._using(spec) as engine:
                scored = await engine.logprobs(request)
        except (RequestError, LoadError) as error:
            return error
        self._count(len(scored.logprobs), 0)
        return scored

    async def stats(self) -> ReplicaStats:
        """Counters since the start of this process."""
        busy = self._busy + (time.monotonic() - self._busy_since if self._in_flight else 0.0)
        return ReplicaStats(os.getpid(), self._requests, self._tokens_in, self._tokens_out, busy, rss_bytes())

    async def close(self) -> None:
        """Free the model once the requests in flight have ended."""
        async with self._state:
            await self._state.wait_for(lambda: self._in_flight == 0)
            await self._unload()

    @contextlib.asynccontextmanager
    async def _using(self, spec: EngineSpec) -> AsyncGenerator[Engine]:
        engine = await self._enter(spec)
        try:
            yield engine
        finally:
            async with self._state:
                self._in_flight -= 1
                if self._in_flight == 0:
                    self._busy += time.monotonic() - self._busy_since
                    self._state.notify_all()

    async def _enter(self, spec: EngineSpec) -> Engine:
        async with self._state:
            await self._state.wait_for(lambda: spec == self._spec or self._in_flight == 0)
            engine = self._engine if self._engine and spec == self._spec else await self._swap(spec)
            if self._in_flight == 0:
                self._busy_since = time.monotonic()
            self._in_flight += 1
            return engine

    async def _swap(self, spec: EngineSpec) -> Engine:
        """Load `spec` in place of the present model. A model that failed is not tried again by every waiting call."""
        if self._failure and self._failure[0] == spec:
            raise self._failure[1]
        await self._unload()
        try:
            self._engine = await asyncio.to_thread(create, spec)
        except Exception as error:
            failure = LoadError(spec.model, " ".join(f"{type(error).__name__}: {error}".split()))
            self._failure = spec, failure
            raise failure from error
        self._spec = spec
        return self._engine

    async def _unload(self) -> None:
        if self._engine:
            await asyncio.to_thread(self._engine.close)
        self._spec = self._engine = self._failure = None

    def _count(self, tokens_in: int, tokens_out: int) -> None:
        self._requests += 1
        self._tokens_in += tokens_in
        self._tokens_out += tokens_out


def rss_bytes() -> int:
    """Resident memory of this process and its children."""
    import psutil

    process = psutil.Process()
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total
