"""A client that answers requests from a journal, and sends an engine only those that the journal does not have."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, cast

from actors.engine import (
    Classification,
    ClassifyRequest,
    Client,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
)
from cluster.fault_points import hit
from pipelines.store.epochs import is_newest
from pipelines.store.journal import Journal, find_journals
from pipelines.store.store import Store

FLUSH_SECONDS = 2.0
Q = TypeVar("Q", GenerateRequest, LogprobRequest, ClassifyRequest)
A = TypeVar("A", Generation, TokenLogprobs, Classification)


class Journals:
    """The journals of one partition, by step. `earlier_paths` are the files that earlier runs left, by step key."""

    def __init__(self, store: Store, partition: int, earlier_paths: Mapping[str, Sequence[str]]) -> None:
        self.store, self.partition, self.earlier_paths = store, partition, earlier_paths
        self.by_key: dict[str, Journal] = {}

    def for_step(self, kind: str, key: str) -> Journal:
        """Return the journal of a step, which the first call opens."""
        if key not in self.by_key:
            self.by_key[key] = Journal(self.store, kind, key, self.partition, self.earlier_paths.get(key, ()))
        return self.by_key[key]

    def flush(self) -> None:
        """Make all answers so far durable."""
        for journal in [*self.by_key.values()]:
            journal.flush()

    def close(self) -> None:
        """Flush and close all journals, and keep their files for the next run."""
        for journal in self.by_key.values():
            journal.close()

    def delete(self) -> None:
        """Delete all journals, once the rows made from their answers are durable.

        If a newer run has started, which may be about to read them, they are closed and kept.
        """
        newest = is_newest(self.store)
        for journal in self.by_key.values():
            if newest:
                journal.delete()
            else:
                journal.close()


current_journals: ContextVar[Journals | None] = ContextVar(
    "journals", default=None
)  # of the partition that the current task works on


@dataclass(frozen=True)
class JournaledClient:
    """Sends a step's requests to `client`. The current partition's journal, if any, keeps answers and RequestErrors."""

    client: Client
    kind: str
    key: str

    async def generate(self, request: GenerateRequest) -> Generation:
        """Return the journal's reply or, if it has none, the client's."""
        return await self._request(request, self.client.generate)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Return the journal's log-probabilities or, if it has none, the client's."""
        return await self._request(request, self.client.logprobs)

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Return the journal's classification or, if it has none, the client's."""
        return await self._request(request, self.client.classify)

    async def _request(self, request: Q, send: Callable[[Q], Awaitable[A]]) -> A:
        journals = current_journals.get()
        if journals is None:
            return await send(request)
        journal = journals.for_step(self.kind, self.key)
        answer = journal.lookup(request)
        if answer is None:
            hit("request.sent", request)
            try:
                answer = await send(request)
            except RequestError as why:
                answer = why
            await journal.append(request, answer)
        if isinstance(answer, RequestError):
            raise RequestError(answer.reason, answer.detail)
        return cast("A", answer)


@contextmanager
def journaling(store: Store, kind: str, key: str) -> Generator[None]:
    """Journal the answers to a step's requests within the block, for a step that is not processed in partitions.

    The journal starts with the answers of earlier runs. It is kept until the step is committed.
    """
    journals = Journals(store, 0, {key: find_journals(store, kind, key).get(0, [])})
    ended, token = threading.Event(), current_journals.set(journals)

    def flush_often() -> None:
        while not ended.wait(FLUSH_SECONDS):
            with contextlib.suppress(OSError):  # a temporary failure of the store: `close` reports a lasting one
                journals.flush()

    thread = threading.Thread(target=flush_often, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        current_journals.reset(token)
        journals.close()
