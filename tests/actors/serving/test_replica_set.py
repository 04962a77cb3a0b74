"""What becomes of a model when its replicas can not start or die; with seats that only play their part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from actors.engine import EngineLost, EngineSpec, GenerateRequest, Generation, LoadError, Sampling
from actors.serving import replica_set as module
from actors.serving.replica_handle import Died, Seat
from actors.serving.replica_set import DEATHS, LOAD_DEATHS, Crew
from actors.serving.request_queue import Desk
from actors.serving.spec import Asker, Terms

SPEC = EngineSpec("scripted", "m")
REQUEST = GenerateRequest("r", (("user", "Why?"),), Sampling())
BROKEN = LoadError("m", "its node has no driver")


class Actor(Seat):
    """A seat without a process. `fates` says what happens at each start of each seat; then it is ready."""

    fates: Sequence[Sequence[Exception]] = ()
    starts = 0

    async def start(self, spec: EngineSpec) -> None:
        self.state = "loading"
        Actor.starts += 1
        self.fate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.001)
        mine = Actor.fates[self.number] if self.number < len(Actor.fates) else ()
        if self.work.deaths < len(mine):
            raise mine[self.work.deaths]
        self.state = "ready"

    async def serve(self) -> None:
        while not self.retiring:
            self.woken.clear()
            waiting = asyncio.create_task(self.woken.wait())
            await asyncio.wait([self.fate, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self.fate.done():
                self.fate.result()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Seat", Actor)
    monkeypatch.setattr(module, "PAUSES", (0.0,))
    monkeypatch.setattr(module, "SCALE_SECONDS", 0.01)
    monkeypatch.setattr(module, "NODES_SECONDS", 0.01)
    monkeypatch.setattr(module, "draining", frozenset)
    monkeypatch.setattr(Actor, "starts", 0)


@asynccontextmanager
async def crew_of(monkeypatch: pytest.MonkeyPatch, *fates: Sequence[Exception], **terms: int) -> AsyncIterator[Crew]:
    monkeypatch.setattr(Actor, "fates", fates)
    crew = Crew(Terms(SPEC, "crew", **{"least": 1, "most": 1, **terms}), Desk("m"), ())  # type: ignore[arg-type]
    try:
        yield crew
    finally:
        await crew.close()


async def come(true: Callable[[], object]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not come true")


def test_a_replica_that_can_not_load_is_given_up_where_another_works(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        late = [Died("its node was slow")]  # the second fails after the first is there
        async with crew_of(monkeypatch, (), [*late, BROKEN], least=2, most=2) as crew:
            await come(lambda: len(crew.events) == 2)
            assert "is given up: its node has no driver" in crew.events[-1].text
            await asyncio.sleep(0.1)  # and not tried again and again
            assert (Actor.starts, crew.ready, crew.missing, len(crew.seats)) == (3, 1, 0, 1)
            assert crew.desk.failure is None
            crew.expect()  # but once more for the next phase, whose replica is another
            await come(lambda: crew.ready == 2)

    asyncio.run(run())


def test_a_model_that_no_replica_can_load_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [BROKEN], [BROKEN], least=2, most=2) as crew:
            await come(lambda: not crew.seats)
            assert crew.desk.failure is BROKEN
            await asyncio.sleep(0.1)
            assert Actor.starts == 2

    asyncio.run(run())


def test_deaths_while_loading_are_an_error_after_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [Died("signal 9")] * 10) as crew:
            await come(lambda: crew.desk.failure)
            assert isinstance(crew.desk.failure, LoadError)
            assert f"its process died {LOAD_DEATHS} times while loading: signal 9" in str(crew.desk.failure)
            assert Actor.starts == LOAD_DEATHS

    asyncio.run(run())


def test_a_death_while_loading_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch, [Died("signal 9")] * (LOAD_DEATHS - 1)) as crew:
            await come(lambda: crew.ready)
            assert crew.desk.failure is None

    asyncio.run(run())


async def _die(crew: Crew) -> None:
    await come(lambda: crew.ready or crew.desk.failure)
    if not crew.desk.failure:
        (seat,) = crew.seats
        assert isinstance(seat, Actor)
        seat.fate.set_exception(Died("signal 11"))
        await come(lambda: seat.state != "ready" or crew.desk.failure)


def test_deaths_without_an_answer_in_between_end_as_a_lost_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            for _ in range(DEATHS):
                await _die(crew)
                assert crew.desk.failure is None
            await _die(crew)
            assert isinstance(crew.desk.failure, EngineLost)
            assert "signal 11" in str(crew.desk.failure)

    asyncio.run(run())


def test_deaths_with_answers_in_between_are_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            for number in range(2 * DEATHS):
                crew.desk.submit(Asker("a", "1"), [(number, "", REQUEST)])
                (ticket,), _ = crew.desk.take(1, idle=True)
                crew.desk.answer(ticket, Generation("r", "Because.", "stop", 1, 1))
                await _die(crew)
            await come(lambda: crew.ready)
            assert crew.desk.failure is None
            assert crew.work().deaths == 2 * DEATHS

    asyncio.run(run())


def test_an_error_that_nobody_foresaw_loses_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with crew_of(monkeypatch) as crew:
            await come(lambda: crew.ready)
            (seat,) = crew.seats
            assert isinstance(seat, Actor)
            crew.desk.submit(Asker("a", "1"), [(0, "", REQUEST)])
            (ticket,), _ = crew.desk.take(1, idle=True)
            seat.in_flight[0] = ticket
            seat.fate.set_exception(KeyError("a bug"))
            await come(lambda: seat not in crew.seats)
            assert list(crew.desk.take(1, idle=True)[0]) == [ticket]
            await come(lambda: crew.ready)

    asyncio.run(run())


class Moored(Actor):
    """A seat that finds room in the driver's berth only, and takes a moment to leave it."""

    async def start(self, spec: EngineSpec) -> None:
        if not self.borrowed:
            await asyncio.Event().wait()
        await super().start(spec)

    async def end(self) -> None:
        await asyncio.sleep(0.05)


def test_the_drivers_berth_goes_to_who_came_while_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Seat", Moored)

    async def run() -> None:
        crew = Crew(Terms(SPEC, "crew"), Desk("m"), (object(),))  # type: ignore[arg-type]
        await come(lambda: crew.ready == 1)
        crew.rest()
        await come(lambda: crew.seats[0].retiring)
        crew.expect()
        await come(lambda: [(seat.borrowed, seat.state) for seat in crew.seats] == [(True, "ready")])
        assert not crew.seats[0].retiring
        await crew.close()

    asyncio.run(run())
