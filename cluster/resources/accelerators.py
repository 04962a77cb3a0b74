"""What GPUs have, by the name that Ray gives to a model of GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Gpu(NamedTuple):
    """One model of GPU by its maker's data sheet: memory in GiB, its bandwidth in GB/s, and TFLOP/s.

    `tflops` are those of dense 16-bit products (without sparsity). Speeds are 0 where no estimate has needed them yet.
    """

    memory: int
    bandwidth: int = 0
    tflops: int = 0


# Ray calls both sizes of the A100 "A100": the smaller one is assumed
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
    "RTX-PRO-6000": Gpu(96),
    "H200": Gpu(141, 4800, 989),
    "B200": Gpu(180, 8000, 2250),
    "B300": Gpu(288),
}


def relative_bandwidth(gpu: str) -> float:
    """How fast a GPU reads its memory, an H100 being 1; GPUs whose speed is not known count as an L4."""
    return _with_speed(gpu).bandwidth / GPUS["H100"].bandwidth


def relative_compute(gpu: str) -> float:
    """How fast a GPU multiplies, an H100 being 1; GPUs whose speed is not known count as an L4."""
    return _with_speed(gpu).tflops / GPUS["H100"].tflops


def published_tflops(device: str) -> tuple[str, int] | None:
    """Return the GPU that CUDA calls `device` ("NVIDIA A100-SXM4-80GB"), and its TFLOP/s; None if they are unknown."""
    words = {*device.split(), *device.replace("-", " ").split()}
    return next(((name, gpu.tflops) for name, gpu in GPUS.items() if gpu.tflops and name in words), None)


def _with_speed(gpu: str) -> Gpu:
    found = GPUS.get(gpu)
    return found if found and found.tflops else GPUS["L4"]
