"""GPU memory as the driver tells it: a device is handed on only after it was seen to be free."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import ClusterError

MEMORY_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """One GPU by its index or UUID, and its memory in MiB."""

    name: str
    used: int
    total: int

    @property
    def free(self) -> int:
        """MiB that nobody holds."""
        return self.total - self.used


def query_gpu_memory(gpus: Sequence[str]) -> list[GpuMemory]:
    """Memory of these GPUs (indexes or UUIDs) of this machine, without those of which no NVIDIA driver tells it."""
    command = shutil.which("nvidia-smi")
    if command is None or not gpus:
        return []
    query = [command, f"--id={','.join(gpus)}", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return []
    rows = [line.split(", ") for line in answer.strip().splitlines()]
    readable_rows = [(gpu, *row) for gpu, row in zip(gpus, rows, strict=True) if all(each.isdigit() for each in row)]
    return [GpuMemory(gpu, int(used), int(total)) for gpu, used, total in readable_rows]  # [N/A]: shared with the CPU


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
