"""What happens to a model when its replicas crash or cannot start. The replicas are simulated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from actors.engine import EngineLost, EngineSpec, GenerateRequest, Generation, LoadError, Sampling
from actors.serving import replica_set as module
from actors.serving.replica_handle import ReplicaDied, ReplicaHandle
from actors.serving.replica_set import MAX_CRASHES, MAX_LOAD_CRASHES, ReplicaSet
from actors.serving.request_queue import RequestQueue
from actors.serving.spec import ClientId, PoolSpec
from tests.support.timing import PATIENCE

SPEC = EngineSpec("scripted", "m")
REQUEST = GenerateRequest("r", (("user", "Why?"),), Sampling())
BROKEN = LoadError("m", "its node has no driver")


class Actor(ReplicaHandle):
    """A seat without a process. `fates` says what happens at each start of each seat; then it is ready."""

    fates: Sequence[Sequence[Exception]] = ()
    starts = 0

    async def start(self, spec: EngineSpec) -> None:
        self.state = "loading"
        Actor.starts += 1
        self.fate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.001)
        mine = Actor.fates[self.number] if self.number < len(Actor.fates) else ()
        if self.stats.crashes < len(mine):
            raise mine[self.stats.crashes]
        self.state = "ready"

    async def serve(self) -> None:
        while not self.retiring:
            self.wakeup.clear()
            waiting = asyncio.create_task(self.wakeup.wait())
            await asyncio.wait([self.fate, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self.fate.done():
                self.fate.result()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ReplicaHandle", Actor)
    monkeypatch.setattr(module, "RESTART_BACKOFF", (0.0,))
    monkeypatch.setattr(module, "AUTOSCALE_SECONDS", 0.01)
    monkeypatch.setattr(module, "DRAIN_POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "draining", frozenset)
    monkeypatch.setattr(Actor, "starts", 0)


@asynccontextmanager
async def crew_of(
    monkeypatch: pytest.MonkeyPatch, *fates: Sequence[Exception], **terms: int
) -> AsyncIterator[ReplicaSet]:
    monkeypatch.setattr(Actor, "fates", fates)
    crew = ReplicaSet(PoolSpec(SPEC, "crew", **{"min_replicas": 1, "max_replicas": 1, **terms}), RequestQueue("m"), ())  # type: ignore[arg-type]
    try:
        yield crew
    finally:
        await crew.close()


async def come(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.001)


def test_a_replica_that_can_not_load_is_given_up_where_another_works(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        late = [ReplicaDied("its node was slow")]  # the second fails after the first is there
        async with crew_of(monkeypatch, (), [*late, BROKEN], min_replicas=2, max_replicas=2) as crew:
            await come(lambda: len(crew.events) == 2)
            assert "failed permanently: its node has no driver" in crew.events[-1].text
            await asyncio.sleep(0.1)  # and not tried again and again
            assert (Actor.starts, crew.ready_replicas, crew.missing_replicas, len(crew.replicas)) == (3, 1, 0, 1)
            assert crew.queue.failure is None
            crew.scale_up()  # but once more for the next phase, whose replica is another
            await come(lambda: crew.ready_replicas == 2)

    asyncio.run(run())


def test_a_model_that_no_replica_can_load_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [BROKEN], [BROKEN], min_replicas=2, max_replicas=2) as crew:
            await come(lambda: not crew.replicas)
            assert crew.queue.failure is BROKEN
            await asyncio.sleep(0.1)
            assert Actor.starts == 2

    asyncio.run(run())


def test_deaths_while_loading_are_an_error_after_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [ReplicaDied("signal 9")] * 10) as crew:
            await come(lambda: crew.queue.failure)
            assert isinstance(crew.queue.failure, LoadError)
            assert f"its process crashed {MAX_LOAD_CRASHES} times while loading: signal 9" in str(crew.queue.failure)
            assert Actor.starts == MAX_LOAD_CRASHES

    asyncio.run(run())


def test_a_death_while_loading_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [ReplicaDied("signal 9")] * (MAX_LOAD_CRASHES - 1)) as crew:
            await come(lambda: crew.ready_replicas)
            assert crew.queue.failure is None

    asyncio.run(run())


async def _die(crew: ReplicaSet) -> None:
    await come(lambda: crew.ready_replicas or crew.queue.failure)
    if not crew.queue.failure:
        (seat,) = crew.replicas
        assert isinstance(seat, Actor)
        seat.fate.set_exception(ReplicaDied("signal 11"))
        await come(lambda: seat.state != "ready" or crew.queue.failure)


def test_deaths_without_an_answer_in_between_end_as_a_lost_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            for _ in range(MAX_CRASHES):
                await _die(crew)
                assert crew.queue.failure is None
            await _die(crew)
            assert isinstance(crew.queue.failure, EngineLost)
            assert "signal 11" in str(crew.queue.failure)

    asyncio.run(run())


def test_deaths_with_answers_in_between_are_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            for number in range(2 * MAX_CRASHES):
                crew.queue.submit(ClientId("a", "1"), [(number, "", REQUEST)])
                (ticket,), _ = crew.queue.take(1, idle=True)
                crew.queue.answer(ticket, Generation("r", "Because.", "stop", 1, 1))
                await _die(crew)
            await come(lambda: crew.ready_replicas)
            assert crew.queue.failure is None
            assert crew.total_stats().crashes == 2 * MAX_CRASHES

    asyncio.run(run())


def test_an_error_that_nobody_foresaw_loses_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            await come(lambda: crew.ready_replicas)
            (seat,) = crew.replicas
            assert isinstance(seat, Actor)
            crew.queue.submit(ClientId("a", "1"), [(0, "", REQUEST)])
            (ticket,), _ = crew.queue.take(1, idle=True)
            seat.in_flight[0] = ticket
            seat.fate.set_exception(KeyError("a bug"))
            await come(lambda: seat not in crew.replicas)
            assert list(crew.queue.take(1, idle=True)[0]) == [ticket]
            await come(lambda: crew.ready_replicas)

    asyncio.run(run())


class Moored(Actor):
    """A replica that can start only in the driver's reservation, and takes a moment to release it."""

    async def start(self, spec: EngineSpec) -> None:
        if not self.uses_driver_reservation:
            await asyncio.Event().wait()
        await super().start(spec)

    async def stop(self) -> None:
        await asyncio.sleep(0.05)


def test_the_drivers_berth_goes_to_who_came_while_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ReplicaHandle", Moored)

    async def run() -> None:
        crew = ReplicaSet(PoolSpec(SPEC, "crew"), RequestQueue("m"), (object(),))  # type: ignore[arg-type]
        await come(lambda: crew.ready_replicas == 1)
        crew.scale_to_zero()
        await come(lambda: crew.replicas[0].retiring)
        crew.scale_up()
        await come(lambda: [(seat.uses_driver_reservation, seat.state) for seat in crew.replicas] == [(True, "ready")])
        assert not crew.replicas[0].retiring
        await crew.close()

    asyncio.run(run())
