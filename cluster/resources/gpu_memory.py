"""GPU memory as the driver tells it: a device is handed on only after it was seen to be free."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cluster.errors import ClusterError
from cluster.resources.nvml import query_gpu_memory

MEMORY_POLL_SECONDS = 0.5


def wait_until_free(gpus: Sequence[str], min_fraction: float, timeout: float) -> None:
    """Return when `min_fraction` (0 to 1) of each GPU's memory is free. ClusterError after `timeout` seconds.

    A process that has ended can hold its memory for a moment longer, and an engine that starts in that moment fails.
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
