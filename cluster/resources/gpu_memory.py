"""Waits until the driver reports a GPU's memory as free, before the GPU is reused."""

from __future__ import annotations

import time
from collections.abc import Sequence

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
