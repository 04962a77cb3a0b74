"""Lets processes use a GPU's memory one after another: a GPU that others left, or one that they share."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.errors import ClusterError
from cluster.resources.nvml import query_gpu_memory

MEMORY_POLL_SECONDS = 0.5


def wait_until_free(gpus: Sequence[str], min_fraction: float, timeout: float) -> None:
    """Wait until at least `min_fraction` (0 to 1) of each GPU's memory is free.

    The memory of a process that has exited can remain allocated for a moment, and an engine that starts then fails.

    Raises:
        ClusterError: The memory is not free after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while busy := [device for device in query_gpu_memory(gpus) if device.free < min_fraction * device.total]:
        if time.monotonic() > deadline:
            status = ", ".join(f"GPU {d.name} has {d.free} of {d.total} MiB free" for d in busy)
            raise ClusterError(
                f"{status} after {timeout:g} s, and {min_fraction:.0%} are needed: another process holds the memory "
                "(nvidia-smi shows which)"
            )
        time.sleep(MEMORY_POLL_SECONDS)


@contextmanager
def sole_use(gpus: Sequence[str]) -> Generator[None]:
    """Wait until no other process of this machine is in such a block with one of these GPUs.

    vLLM measures while it starts how much memory it needs, and counts what others allocate then. The lock of a process
    that crashes is released.
    """
    with ExitStack() as held:
        for gpu in sorted(gpus):  # in one order, so that two processes never wait for each other
            path = Path(tempfile.gettempdir(), f"evolgrid-{os.getuid()}-gpu-{gpu}.lock")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # a child may have inherited the descriptor
        yield
