"""NVIDIA GPUs as reported by NVML, the driver's library, which needs neither a CUDA context nor GPU memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MIB = 2**20


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """One GPU, or one MIG instance of it, by its index or UUID, and its memory in MiB."""

    name: str
    used: int
    total: int

    @property
    def free(self) -> int:
        """Unused MiB."""
        return self.total - self.used


def gpu_uuids() -> list[str]:
    """Return the UUIDs of this machine's GPUs; empty without a driver or a card. MIG instances are not counted."""
    import pynvml

    with _driver() as loaded:
        try:
            count = pynvml.nvmlDeviceGetCount() if loaded else 0
            return [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        except pynvml.NVMLError:
            return []  # a GPU that has failed: the number of the others is unknown


def query_gpu_memory(gpus: Sequence[str]) -> list[GpuMemory]:
    """Return the memory of these GPUs or MIG instances of this machine, given by index or UUID, in the same order.

    A GPU in MIG mode is replaced by its instances. Devices are left out if the driver does not know them, or if they
    have no separate memory (they share the CPU's). Without a driver, the result is empty.
    """
    if not gpus:
        return []
    with _driver() as loaded:
        return [memory for gpu in gpus for memory in _query_one(gpu)] if loaded else []


def compute_capability(gpu: str) -> tuple[int, int] | None:
    """Return the compute capability of a GPU, given by index or UUID, such as (9, 0); None if it is unknown."""
    import pynvml

    with _driver() as loaded:
        try:
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(_handle(gpu)) if loaded else (0, 0)
        except pynvml.NVMLError:
            return None
    return (major, minor) if major else None


def driver_version() -> str:
    """Return the version of this machine's driver, such as "580.65.06"; empty without a driver."""
    import pynvml

    with _driver() as loaded:
        return str(pynvml.nvmlSystemGetDriverVersion()) if loaded else ""


@contextmanager
def _driver() -> Generator[bool]:
    """Keep NVML open for the block. Yields False if this machine has no driver, or one that cannot be used."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _handle(gpu: str) -> Any:
    import pynvml

    return pynvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(gpu)


def _query_one(gpu: str) -> list[GpuMemory]:
    import pynvml

    try:
        device = _handle(gpu)
        instances = {pynvml.nvmlDeviceGetUUID(instance): instance for instance in _mig_instances(device)}
    except pynvml.NVMLError:
        return []
    found = (_read_memory(name, handle) for name, handle in (instances or {gpu: device}).items())
    return [memory for memory in found if memory is not None]


def _mig_instances(device: Any) -> Iterator[Any]:
    """Yield the MIG instances of a GPU; nothing for a GPU without MIG, or for an instance."""
    import pynvml

    try:
        enabled = pynvml.nvmlDeviceGetMigMode(device)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
        limit = pynvml.nvmlDeviceGetMaxMigDeviceCount(device) if enabled else 0
    except pynvml.NVMLError:
        return
    for index in range(limit):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index)
        except pynvml.NVMLError:
            continue  # the GPU has fewer instances than it could have


def _read_memory(name: str, device: Any) -> GpuMemory | None:
    import pynvml

    try:
        # version 2 leaves what the driver reserves out of `used`, as nvidia-smi does
        memory: Any = pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError:
        return None
    return GpuMemory(name, memory.used // MIB, memory.total // MIB) if memory.total else None
