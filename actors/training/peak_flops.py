"""What a device can do at most, against which a training's speed is held."""

from __future__ import annotations

import time
from functools import cache

import torch

# dense bfloat16 operations per second without sparsity, by their makers' data sheets
PEAK_FLOPS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "V100": 125e12,
    "T4": 65e12,
}
MATMUL_SIZE = 1024
REPEATS = 8


@cache
def peak_flops(device: torch.device, dtype: torch.dtype, threads: int) -> tuple[float, str]:
    """Floating-point operations per second, and where the figure comes from.

    A known GPU's data sheet for bfloat16; anything else is measured: the best of some square matrix products.
    """
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for known, flops in PEAK_FLOPS.items():
            if known in name.split() or known in name.replace("-", " ").split():
                return flops, f"data sheet of {known}, bfloat16"
    where = f"{threads} CPU thread(s)" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return _measure_flops(
        device, dtype
    ), f"measured: {MATMUL_SIZE} x {MATMUL_SIZE} products in {str(dtype).partition('.')[2]} on {where}"


def _measure_flops(device: torch.device, dtype: torch.dtype) -> float:
    one, other = (torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        torch.mm(one, other)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * MATMUL_SIZE**3 / best
