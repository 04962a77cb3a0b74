"""Work in threads of this process while it is connected to Ray, which is stopped before it disconnects.

Ray ends a process that calls it after `ray.shutdown` at once, with exit code 1 and without a message.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

STOP_SECONDS = 10.0  # after which a thread that is blocked is left alone
_open: set[BackgroundWork] = set()


class BackgroundWork:
    """A coroutine that runs in a thread of its own, until it returns or is cancelled."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Start the thread `name`, which runs the coroutine that `work` returns."""
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(work())
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _open.add(self)
        self._thread.start()

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        finally:
            self._loop.close()
            _open.discard(self)

    def stop(self) -> None:
        """Cancel the coroutine, and wait until the thread has finished."""
        with suppress(RuntimeError):  # the loop is closed: the coroutine has returned
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(STOP_SECONDS)


def stop_background_work() -> None:
    """Stop all that runs in the background."""
    for work in [*_open]:
        work.stop()
