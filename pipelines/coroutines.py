"""Runs a coroutine to its end, also in a thread with a running event loop, such as a notebook's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine and return its result. If the calling thread has a running event loop, another thread runs it.

    An exception in the calling thread, such as KeyboardInterrupt, cancels the coroutine.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    loop, result = asyncio.new_event_loop(), Future[T]()
    task = loop.create_task(coroutine)
    thread = threading.Thread(target=_complete, args=(loop, task, result), name="coroutine")
    try:
        thread.start()
        return result.result()
    except BaseException:
        with suppress(RuntimeError):  # the loop is closed: the error is the coroutine's own
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()


def _complete(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], result: Future[T]) -> None:
    try:
        result.set_result(loop.run_until_complete(task))
    except BaseException as error:
        result.set_exception(error)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
