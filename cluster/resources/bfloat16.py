"""Whether the CPU of this machine computes in bfloat16 natively, and how slow it is if it does not."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # of x86 and of ARM
CPU_INFO = Path("/proc/cpuinfo")
MATMUL_SIZE = 512
REPEATS = 3


@cache
def has_native_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16. Without them, each product is emulated."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return True
    flags = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return bool(CPU_FLAGS.intersection(*[next(flags, [])]))


@cache
def bfloat16_slowdown() -> float:
    """Return how many times longer a product of matrices takes in bfloat16 than in float32, measured on this CPU."""
    import torch

    return _seconds(torch.bfloat16) / _seconds(torch.float32)


def _seconds(dtype: object) -> float:
    import torch

    one = torch.ones(MATMUL_SIZE, MATMUL_SIZE).to(dtype)  # pyright: ignore[reportArgumentType, reportCallIssue]
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        torch.mm(one, one)
        best = min(best, time.perf_counter() - started)
    return best
