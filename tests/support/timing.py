"""Waiting and measuring in ways that do not depend on how busy the machine is."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

PATIENCE = 90.0  # seconds; only a test that fails waits that long


def until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is true. AssertionError if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def children_cpu() -> float:
    """Seconds of CPU that finished child processes have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
