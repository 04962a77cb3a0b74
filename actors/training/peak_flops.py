"""The peak floating-point performance of a device, the reference for a training's speed (MFU)."""

from __future__ import annotations

import time
from functools import cache

import torch

from cluster.resources.accelerators import published_tflops

# by device: on a GPU, a product of 1024 ends before all its multiprocessors have work
MATMUL_SIZES = {"cpu": 1024, "cuda": 8192}
REPEATS = 8


@cache
def peak_flops(device: torch.device, dtype: torch.dtype, threads: int) -> tuple[float, str]:
    """Return the peak floating-point operations per second, and the source of the figure.

    For a known GPU and bfloat16, it is the data sheet's. Otherwise it is measured: the fastest of `REPEATS` products of
    square matrices.
    """
    on_cuda = device.type == "cuda"
    if on_cuda and dtype == torch.bfloat16 and (found := published_tflops(torch.cuda.get_device_name(device))):
        return found[1] * 1e12, f"data sheet of {found[0]}, bfloat16"
    where = f"{threads} CPU thread(s)" if device.type == "cpu" else torch.cuda.get_device_name(device)
    size = MATMUL_SIZES[device.type]
    source = f"measured: {size} x {size} products in {str(dtype).partition('.')[2]} on {where}"
    return _measure_flops(device, dtype, size), source


def _measure_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    _synchronize(device)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        torch.mm(one, other)
        _synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
