"""Ray asks its processes to end and looks no further; one that hangs or is stopped would stay on the machine."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psutil

EXIT_TIMEOUT = 5.0


@contextmanager
def reap() -> Generator[None]:
    """Within the block this process stops the Ray that it has started; of Ray's processes none outlives it for long."""
    daemons = [child for child in psutil.Process().children() if child.name() == "raylet"]
    processes = [*daemons, *(below for daemon in daemons for below in daemon.children(recursive=True))]
    try:
        yield
    finally:
        _, alive = psutil.wait_procs(processes, timeout=EXIT_TIMEOUT)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=EXIT_TIMEOUT)
