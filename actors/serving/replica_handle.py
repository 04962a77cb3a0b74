"""One replica as its router sees it: started in its berth, fed, watched, and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayError

from actors.engine import Answer, Classification, EngineSpec, Feature, Generation, LoadError
from actors.serving.replica import Loaded, Replica
from actors.serving.request_queue import Desk
from actors.serving.reservation import Berth, reserve
from actors.serving.spec import Terms, Ticket, Work
from cluster.processes import kill_process

NAMESPACE = "evolgrid-engines"
LINGER_SECONDS = 0.002  # for requests that come together to be sent together
BEAT_SECONDS = 2.0
CLOSE_SECONDS = 10.0  # for a model to be freed in good order before its process is killed
_IDENTIFIERS = ("class_name:", "actor_id:", "namespace:", "name:", "pid:", "ip:")


class Died(Exception):
    """A replica's process has ended or is stuck."""


class Seat:
    """State: waiting for its berth, loading, ready, or asleep with its berth lent to another model."""

    def __init__(self, number: int, terms: Terms, desk: Desk, berth: Berth | None, room: Callable[[Seat], int]) -> None:
        """`room` says how many more requests the seat may take now."""
        self.number, self.terms, self.desk, self.berth, self.room = number, terms, desk, berth, room
        self.borrowed = berth is not None
        self.state: Literal["waiting", "loading", "ready", "asleep"] = "waiting"
        self.retiring = False
        self.work = Work()
        self.in_flight: dict[int, Ticket] = {}
        self.alone = False
        self.woken = asyncio.Event()
        self._replica: Any = None
        self.features: frozenset[Feature] = frozenset()
        self.node = ""  # by Ray's id, while a process is there
        self._sent = 0
        self._busy_since = 0.0

    async def start(self, spec: EngineSpec) -> None:
        """Get a berth and load the model. LoadError if it can not be loaded, Died if its process ends meanwhile."""
        self.state = "waiting"
        if self.berth is None or not self.berth.exists():
            self.berth, self.borrowed = reserve(self.terms.share, f"{self.terms.name}/{self.number}"), False
        gpus = await self.berth.placed()
        self.state = "loading"
        self._replica = self._new_replica(self.berth, gpus)
        await self.load(spec)
        self.state = "ready"

    async def load(self, spec: EngineSpec) -> None:
        """Load a model in the process that is there; errors as of `start`."""
        try:
            answer: Loaded | LoadError = await asyncio.wait_for(
                _future(self._replica.load.remote(spec)), self.terms.load_seconds
            )
        except TimeoutError as error:
            raise LoadError(spec.model, f"not loaded after {self.terms.load_seconds:g} s") from error
        except RayError as error:
            raise Died(summary(error)) from error
        if isinstance(answer, LoadError):
            raise answer
        self.features = answer.features
        self.work.pid, self.node = answer.pid, answer.node
        self.work.loads += 1

    async def serve(self) -> None:
        """Send requests and hand in answers until the seat is retired and empty. Died if the process is lost."""
        self.desk.add_waker(self.woken)
        self.woken.set()
        tasks = [asyncio.create_task(each) for each in (self._feed(), self._collect(), self._watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.desk.remove_waker(self.woken)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def sleep(self) -> None:
        """Leave the devices; nothing is in flight. A process that fails to is ended, which `serve` finds."""
        self.state = "asleep"
        await self._followed("sleep")

    async def wake(self) -> None:
        """Come back to the devices; failures as of `sleep`."""
        if await self._followed("wake"):
            self.state = "ready"
            self.woken.set()

    def abandon(self) -> list[Ticket]:
        """The tickets of a dead or stuck process, which is ended for good."""
        if self.node:
            kill_process(self.node, self.work.pid)
            self.node = ""
        self._kill()
        tickets = list(self.in_flight.values())
        self.in_flight.clear()
        self._count_busy()
        return tickets

    async def end(self) -> None:
        """Free the model, end the process, and give the berth back unless it is the driver's."""
        if self._replica is not None:
            with contextlib.suppress(TimeoutError, RayError):
                await asyncio.wait_for(_future(self._replica.close.remote()), CLOSE_SECONDS)
        self._kill()
        if self.berth is not None and not self.borrowed:
            self.berth.release()
        self.berth = None

    def _new_replica(self, berth: Berth, gpus: tuple[str, ...]) -> Any:
        threads = max(1, math.ceil(self.terms.share.cpus))
        options = {"max_concurrency": 1000, "max_restarts": 0, "max_task_retries": 0, **berth.options()}
        name = f"{self.terms.name}/{self.number}" + (f"+{self.work.deaths}" if self.work.deaths else "")
        actor: Any = ray.remote(Replica)
        return actor.options(name=name, namespace=NAMESPACE, **options).remote(
            threads, None if berth.several_nodes else gpus, self.terms.share.gpus
        )

    def _kill(self) -> None:
        if self._replica is not None:
            ray.kill(self._replica)
            self._replica = None

    async def _followed(self, order: Literal["sleep", "wake"]) -> bool:
        replica = self._replica
        try:
            await getattr(replica, order).remote()
        except RayError:
            ray.kill(replica)
            return False
        return True

    async def _feed(self) -> None:
        while self.in_flight or not self.retiring:
            await self.woken.wait()
            self.woken.clear()
            if self.retiring or self.state == "asleep" or (self.alone and self.in_flight):
                continue
            await asyncio.sleep(LINGER_SECONDS)
            tickets, self.alone = self.desk.take(self.room(self), idle=not self.in_flight)
            if tickets:
                self._send(tickets)

    def _send(self, tickets: list[Ticket]) -> None:
        if not self.in_flight:
            self._busy_since = time.monotonic()
        first = self._sent
        self._sent += len(tickets)
        numbered = dict(enumerate(tickets, first))
        self.in_flight |= numbered
        self._replica.submit.remote([(number, ticket.request) for number, ticket in numbered.items()])

    async def _collect(self) -> None:
        while True:
            try:
                collected: tuple[list[tuple[int, Answer]], int] = await self._replica.collect.remote()
            except RayError as error:
                raise Died(summary(error)) from error
            answers, retries = collected
            self.work.retries += retries
            for number, answer in answers:
                self.desk.answer(self.in_flight.pop(number), answer)
                self._count(answer)
            self._count_busy()
            self.woken.set()

    async def _watch(self) -> None:
        """Died if the process is silent, or if its engine stands still with requests in flight."""
        seen, since = (0, 0), time.monotonic()
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, self.terms.patience / 4))
            try:
                progress: int = await asyncio.wait_for(_future(self._replica.beat.remote()), self.terms.silence)
            except TimeoutError as error:
                raise Died(f"its process gave no sign of life for {self.terms.silence:g} s") from error
            except RayError as error:
                raise Died(summary(error)) from error
            now = time.monotonic()
            if not self.in_flight or (progress, self.work.requests) != seen:
                seen, since = (progress, self.work.requests), now
            elif now - since > self.terms.patience:
                raise Died(f"no progress for {self.terms.patience:g} s with {len(self.in_flight)} requests in flight")

    def _count(self, answer: Answer) -> None:
        self.work.requests += 1
        if isinstance(answer, Generation):
            self.work.tokens_in += answer.tokens_in
            self.work.tokens_out += answer.tokens_out
        elif isinstance(answer, Classification):
            self.work.tokens_in += answer.tokens_in
        elif not isinstance(answer, Exception):
            self.work.tokens_in += len(answer.logprobs)

    def _count_busy(self) -> None:
        if self._busy_since:
            now = time.monotonic()
            self.work.busy_seconds += now - self._busy_since
            self._busy_since = now if self.in_flight else 0.0


async def _future(ref: Any) -> Any:
    """A reference as what asyncio can wait for with a limit."""
    return await ref


def summary(error: RayError) -> str:
    """What Ray knows of an actor's end, without the traceback, the identifiers and the guesses."""
    if not isinstance(error, RayActorError):
        return " ".join(str(error).split())
    lines = [line.strip() for line in str(error).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith(_IDENTIFIERS))
    return told.partition(" Some common causes")[0].rpartition("The actor is dead because ")[2]
