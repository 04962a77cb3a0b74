"""A coroutine runs to its end wherever it is called from."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from pipelines.coroutines import run_coroutine


async def add(one: int, two: int) -> int:
    await asyncio.sleep(0)
    return one + two


async def fail() -> int:
    raise ValueError("as written")


def test_without_and_within_a_running_loop() -> None:
    async def cell() -> int:
        return run_coroutine(add(1, run_coroutine(add(1, 1))))

    assert run_coroutine(add(1, 2)) == asyncio.run(cell()) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("coroutine")]


def test_its_own_error_is_raised() -> None:
    async def cell() -> int:
        return run_coroutine(fail())

    with pytest.raises(ValueError, match="as written"):
        asyncio.run(cell())


def test_an_interrupt_cancels_it() -> None:
    """As a notebook's kernel is interrupted, whose loop leaves Ctrl-C to Python's own handler."""
    started, cancelled = threading.Event(), threading.Event()

    async def wait() -> int:
        try:
            started.set()
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 0

    def interrupt() -> None:
        started.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    loop = asyncio.new_event_loop()

    async def cell() -> int:
        threading.Thread(target=interrupt).start()
        return run_coroutine(wait())

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(cell())
    loop.close()
    assert cancelled.is_set()
