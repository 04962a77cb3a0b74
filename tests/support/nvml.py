"""A fake NVIDIA driver: replaces pynvml's functions with ones that report given devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pynvml
import pytest

MIB = 2**20


@dataclass
class FakeDevice:
    """A GPU or a MIG instance. Reads return the values of `used` (MiB) in turn, then the last one; None: an error."""

    uuid: str
    used: list[int | None]
    total: int = 1000
    instances: list[FakeDevice | None] = field(default_factory=list)  # None: a slot without an instance
    capability: tuple[int, int] | None = (9, 0)  # None: an error
    reads: int = 0

    def memory(self) -> SimpleNamespace:
        used = self.used[min(self.reads, len(self.used) - 1)]
        self.reads += 1
        if used is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(used=used * MIB + 1, total=self.total * MIB)


@dataclass
class FakeDriver:
    """The devices, how often NVML was opened and closed, and the error code with which opening it fails (0: none)."""

    devices: list[FakeDevice]
    fails_with: int = 0
    opened: int = 0
    closed: int = 0

    def open(self) -> None:
        if self.fails_with:
            raise pynvml.NVMLError(self.fails_with)
        self.opened += 1

    def close(self) -> None:
        self.closed += 1

    def by_index(self, index: int) -> FakeDevice:
        if index >= len(self.devices):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self.devices[index]

    def by_uuid(self, uuid: str) -> FakeDevice:
        known = [*self.devices, *(one for device in self.devices for one in device.instances if one)]
        found = next((device for device in known if device.uuid == uuid), None)
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return found

    def mig_mode(self, device: FakeDevice) -> list[int]:
        if device not in self.devices:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return [int(bool(device.instances))] * 2


def _capability(device: FakeDevice) -> tuple[int, int]:
    if device.capability is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return device.capability


def _instance(device: FakeDevice, index: int) -> FakeDevice:
    instance = device.instances[index]
    if instance is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
    return instance


def install_driver(monkeypatch: pytest.MonkeyPatch, *devices: FakeDevice, fails_with: int = 0) -> FakeDriver:
    """Install a driver with these devices. With `fails_with`, opening it fails with this error code of NVML."""
    driver = FakeDriver([*devices], fails_with)
    functions: dict[str, Callable[..., object]] = {
        "nvmlInit": driver.open,
        "nvmlShutdown": driver.close,
        "nvmlDeviceGetCount": lambda: len(driver.devices),
        "nvmlDeviceGetHandleByIndex": driver.by_index,
        "nvmlDeviceGetHandleByUUID": driver.by_uuid,
        "nvmlSystemGetDriverVersion": lambda: "535.183.01",
        "nvmlDeviceGetCudaComputeCapability": _capability,
        "nvmlDeviceGetUUID": lambda device: device.uuid,
        "nvmlDeviceGetMigMode": driver.mig_mode,
        "nvmlDeviceGetMaxMigDeviceCount": lambda device: len(device.instances),
        "nvmlDeviceGetMigDeviceHandleByIndex": _instance,
        "nvmlDeviceGetMemoryInfo": lambda device, version: device.memory(),
    }
    for name, function in functions.items():
        monkeypatch.setattr(pynvml, name, function)  # raises if pynvml has no such function
    return driver
