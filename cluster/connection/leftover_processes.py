"""Kills processes that a stopped Ray leaves behind: Ray only asks its processes to exit, and some may hang."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psutil

EXIT_TIMEOUT = 5.0


@contextmanager
def reap() -> Generator[None]:
    """Wrap a block that stops the Ray started by this process, and kill Ray's processes that do not exit in time."""
    daemons = [child for child in psutil.Process().children() if child.name() == "raylet"]
    processes = [*daemons, *(below for daemon in daemons for below in daemon.children(recursive=True))]
    try:
        yield
    finally:
        _, alive = psutil.wait_procs(processes, timeout=EXIT_TIMEOUT)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=EXIT_TIMEOUT)
