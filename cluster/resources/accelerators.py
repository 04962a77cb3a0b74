"""Memory and speed of GPUs, by Ray's accelerator type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Gpu(NamedTuple):
    """One model of GPU, from its data sheet: memory in GiB, memory bandwidth in GB/s, and TFLOP/s.

    `tflops` are for dense 16-bit matrix products (without sparsity). Speeds are 0 if no estimate needs them yet.
    """

    memory: int
    bandwidth: int = 0
    tflops: int = 0


# Ray calls both sizes of the A100 "A100" and of the GH200 "GH200"; the smaller one is assumed
GPUS: Mapping[str, Gpu] = {
    "P4": Gpu(8),
    "T4": Gpu(16, 320, 65),
    "P100": Gpu(16),
    "V100": Gpu(16, 900, 125),
    "A10G": Gpu(24, 600, 70),
    "L4": Gpu(24, 300, 121),
    "A100": Gpu(40, 1555, 312),
    "A100-40G": Gpu(40, 1555, 312),
    "L40S": Gpu(48, 864, 362),
    "A100-80G": Gpu(80, 2039, 312),
    "H100": Gpu(80, 3350, 989),
    "H20": Gpu(96),
    "GH200": Gpu(96, 4000, 989),
    "RTX-PRO-6000": Gpu(96),
    "H200": Gpu(141, 4800, 989),
    "B200": Gpu(180, 8000, 2250),
    "GB200": Gpu(186, 8000, 2500),
    "B300": Gpu(288),
}


def relative_bandwidth(gpu: str) -> float:
    """Return a GPU's memory bandwidth relative to an H100. A GPU of unknown speed counts as an L4."""
    return _with_speed(gpu).bandwidth / GPUS["H100"].bandwidth


def relative_compute(gpu: str) -> float:
    """Return a GPU's TFLOP/s relative to an H100. A GPU of unknown speed counts as an L4."""
    return _with_speed(gpu).tflops / GPUS["H100"].tflops


def published_tflops(device: str) -> tuple[str, int] | None:
    """Return the GPU that CUDA calls `device` ("NVIDIA A100-SXM4-80GB"), and its TFLOP/s; None if unknown."""
    words = {*device.split(), *device.replace("-", " ").split()}
    return next(((name, gpu.tflops) for name, gpu in GPUS.items() if gpu.tflops and name in words), None)


def _with_speed(gpu: str) -> Gpu:
    found = GPUS.get(gpu)
    return found if found and found.tflops else GPUS["L4"]
