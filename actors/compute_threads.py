"""Runs a computation in a thread that ends with it.

OpenMP (libgomp) keeps a pool of threads for each thread that has computed in parallel, until that thread ends. Between
two operations a pool waits actively. Once the pools of a process have more threads than there are cores, they sleep
instead: on two cores, small models were trained and run at half to two thirds of their speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


async def in_new_thread(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Return the result of a function that computes. Its thread ends with it, unlike those of `asyncio.to_thread`."""
    executor = ThreadPoolExecutor(1)
    try:
        return await asyncio.wrap_future(executor.submit(function, *args, **kwargs))
    finally:
        executor.shutdown(wait=False)
