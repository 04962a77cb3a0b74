"""Answers outlive the process that got them, each belongs to exactly its request, and torn lines are no answers."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from actors.engine import (
    Classification,
    ClassifyRequest,
    GenerateRequest,
    Generation,
    LogprobRequest,
    Request,
    RequestError,
    Sampling,
    TokenLogprobs,
)
from pipelines.store.journal import Journal, JournalEntry, find_journals
from pipelines.store.journaled_client import current_journals, journaling
from pipelines.store.store import Store

ASKED = GenerateRequest("r1", (("user", "Grüße 🌍\n"),), Sampling(0.7, max_tokens=9), 3)
PAIRS: list[tuple[Request, JournalEntry]] = [
    (ASKED, Generation("r1", "one\ntwo \ud800", "stop", 3, 2, (-0.1, -2.5e-17))),
    (LogprobRequest("r2", "a", "b"), TokenLogprobs("r2", 1, (None, -1.5), (), (1, 1, 0))),
    (ClassifyRequest("r3", "text"), Classification("r3", (0.1, math.inf), ("a", "b"), None, 4)),
]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def append(to: Journal, *pairs: tuple[Request, JournalEntry]) -> None:
    """Add answers that arrive together."""

    async def together() -> None:
        await asyncio.gather(*(to.append(request, answer) for request, answer in pairs))

    asyncio.run(together())


def journal(store: Store, unit: int = 0) -> Journal:
    return Journal(store, "evolve", "k", unit, find_journals(store, "evolve", "k").get(unit, []))


def test_every_kind_of_answer_comes_back_as_it_was(store: Store) -> None:
    first = journal(store)
    for request, answer in PAIRS:
        assert first.lookup(request) is None
        append(first, (request, answer))
    first.close()
    again = journal(store)
    assert [again.lookup(request) for request, _ in PAIRS] == [answer for _, answer in PAIRS]


def test_a_refusal_is_an_answer(store: Store) -> None:
    first = journal(store)
    append(first, (ASKED, RequestError("too_long", "by far")))
    first.close()
    said = journal(store).lookup(ASKED)
    assert isinstance(said, RequestError) and (said.reason, said.detail) == ("too_long", "by far")


def test_another_request_of_the_same_id_has_no_answer(store: Store) -> None:
    first = journal(store)
    append(first, PAIRS[0])
    first.close()
    again = journal(store)
    for other in (replace(ASKED, seed=4), replace(ASKED, messages=(("user", "Grüße"),)), replace(ASKED, id="r2")):
        assert again.lookup(other) is None
    assert journal(store, unit=1).lookup(ASKED) is None


def test_on_a_local_disk_an_answer_is_there_at_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    append(journal(store), PAIRS[0])
    assert journal(store).lookup(ASKED) == PAIRS[0][1]


def test_answers_that_arrive_together_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, writes = Store(str(tmp_path)), list[bytes]()
    real = os.write
    monkeypatch.setattr(
        "pipelines.store.journal.os.write", lambda file, data: (writes.append(data), real(file, data))[1]
    )
    append(journal(store), *PAIRS)
    monkeypatch.undo()
    assert [data.count(b"\n") for data in writes] == [len(PAIRS)]
    again = journal(store)
    assert [again.lookup(request) for request, _ in PAIRS] == [answer for _, answer in PAIRS]


def test_nobody_gets_an_answer_before_it_is_written(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    first = journal(store)

    async def append_and_look(request: Request, answer: JournalEntry) -> JournalEntry | None:
        await first.append(request, answer)
        return journal(store).lookup(request)

    async def together() -> list[JournalEntry | BaseException | None]:
        tasks = [asyncio.create_task(append_and_look(*pair)) for pair in PAIRS]
        await asyncio.sleep(0)
        tasks[1].cancel()  # while it waits for the write; the others do not depend on it
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(together())
    assert [found[0], found[2]] == [PAIRS[0][1], PAIRS[2][1]]
    assert isinstance(found[1], asyncio.CancelledError)


def test_everybody_who_waits_learns_that_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = journal(Store(str(tmp_path)))
    real = os.write
    monkeypatch.setattr("pipelines.store.journal.os.write", lambda file, data: real(file, data[:-1]))

    async def together() -> list[BaseException | None]:
        return await asyncio.gather(*(first.append(*pair) for pair in PAIRS), return_exceptions=True)

    errors = asyncio.run(together())
    assert [getattr(error, "errno", None) for error in errors] == [errno.ENOSPC] * len(PAIRS)


@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: data[:40] + b"\0" * 9 + data[49:]])
def test_a_torn_or_spoilt_line_is_no_answer_and_harms_no_other(tmp_path: Path, harm) -> None:
    store = Store(str(tmp_path))
    first = journal(store)
    append(first, PAIRS[1])
    append(first, PAIRS[0])
    first.close()
    (path,) = find_journals(store, "evolve", "k")[0]
    whole, torn = store.read_bytes(path).splitlines(keepends=True)
    store.write_bytes(path, whole + harm(torn))
    again = journal(store)
    assert (again.lookup(PAIRS[1][0]), again.lookup(ASKED)) == (PAIRS[1][1], None)


def test_what_was_dropped_is_gone(store: Store) -> None:
    first = journal(store)
    append(first, PAIRS[0])
    first.flush()
    append(first, PAIRS[1])
    first.delete()
    assert find_journals(store, "evolve", "k") == {}


def test_answers_are_kept_again_after_the_store_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    store, away, seen = Store("memory://away"), [True], threading.Event()
    real = store.write_bytes

    def write(path: str, data: bytes) -> None:
        if away:
            away.pop()
            raise OSError("away")
        real(path, data)
        seen.set()

    monkeypatch.setattr(store, "write_bytes", write)
    monkeypatch.setattr("pipelines.store.journaled_client.FLUSH_SECONDS", 0.05)
    with journaling(store, "optimize", "k"):
        journals = current_journals.get()
        assert journals
        append(journals.for_step("optimize", "k"), PAIRS[0])
        assert seen.wait(60), "the thread that keeps answers has ended"
