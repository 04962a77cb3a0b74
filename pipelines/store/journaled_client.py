"""A client that asks an engine only for what no earlier run was answered."""

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
from cluster.fault_points import reached
from pipelines.store.journal import Journal, find_journals
from pipelines.store.store import Store

FLUSH_SECONDS = 2.0
Q = TypeVar("Q", GenerateRequest, LogprobRequest, ClassifyRequest)
A = TypeVar("A", Generation, TokenLogprobs, Classification)


class Journals:
    """The journals of one unit, by step. `left` are the paths that earlier runs left, by the steps' keys."""

    def __init__(self, store: Store, unit: int, left: Mapping[str, Sequence[str]]) -> None:
        self.store, self.unit, self.left = store, unit, left
        self.open: dict[str, Journal] = {}

    def of(self, kind: str, key: str) -> Journal:
        """The journal of a step."""
        if key not in self.open:
            self.open[key] = Journal(self.store, kind, key, self.unit, self.left.get(key, ()))
        return self.open[key]

    def flush(self) -> None:
        """Make all answers so far outlive this machine."""
        for journal in [*self.open.values()]:
            journal.flush()

    def close(self) -> None:
        """Flush, and keep all for the next run."""
        for journal in self.open.values():
            journal.close()

    def drop(self) -> None:
        """Remove all: what was made of them is durable."""
        for journal in self.open.values():
            journal.drop()


here: ContextVar[Journals | None] = ContextVar("journals", default=None)  # of the unit that a task works for


@dataclass(frozen=True)
class Remembering:
    """Asks `client` for a step. Answers, and refusals too, are kept in the journal of the unit at work, if any."""

    client: Client
    kind: str
    key: str

    async def generate(self, request: GenerateRequest) -> Generation:
        """As the client's."""
        return await self._ask(request, self.client.generate)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """As the client's."""
        return await self._ask(request, self.client.logprobs)

    async def classify(self, request: ClassifyRequest) -> Classification:
        """As the client's."""
        return await self._ask(request, self.client.classify)

    async def _ask(self, request: Q, ask: Callable[[Q], Awaitable[A]]) -> A:
        journals = here.get()
        if journals is None:
            return await ask(request)
        journal = journals.of(self.kind, self.key)
        known = journal.recall(request)
        if known is None:
            reached("request.sent", request)
            try:
                known = await ask(request)
            except RequestError as why:
                known = why
            journal.keep(request, known)
        if isinstance(known, RequestError):
            raise RequestError(known.reason, known.detail)
        return cast("A", known)


@contextmanager
def remembered(store: Store, kind: str, key: str) -> Generator[None]:
    """Within the block, answers to a step's requests are kept until the step is committed; it is not walked in units.

    An earlier run's answers are known from the start.
    """
    journals = Journals(store, 0, {key: find_journals(store, kind, key).get(0, [])})
    ended, token = threading.Event(), here.set(journals)

    def flush_often() -> None:
        while not ended.wait(FLUSH_SECONDS):
            with contextlib.suppress(OSError):  # the store is away for a moment; at the end it counts
                journals.flush()

    thread = threading.Thread(target=flush_often, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        here.reset(token)
        journals.close()
