"""What GPUs have: memory by the name that Ray gives to a model of GPU."""

from __future__ import annotations

# GiB as the makers' data sheets have them; Ray calls both sizes of the A100 "A100": the smaller one is assumed
MEMORY_GIB: dict[str, int] = {
    "P4": 8,
    "T4": 16,
    "P100": 16,
    "V100": 16,
    "A10G": 24,
    "L4": 24,
    "A100": 40,
    "A100-40G": 40,
    "L40S": 48,
    "A100-80G": 80,
    "H100": 80,
    "H20": 96,
    "RTX-PRO-6000": 96,
    "H200": 141,
    "B200": 180,
    "B300": 288,
}
# GB/s of memory, and dense 16-bit TFLOP/s, as the makers' data sheets have them
_SPEED: dict[str, tuple[int, int]] = {
    "T4": (320, 65),
    "V100": (900, 125),
    "A10G": (600, 70),
    "L4": (300, 121),
    "A100": (1555, 312),
    "A100-40G": (1555, 312),
    "L40S": (864, 362),
    "A100-80G": (2039, 312),
    "H100": (3350, 989),
    "H200": (4800, 989),
    "B200": (8000, 2250),
}


def relative_bandwidth(gpu: str) -> float:
    """How fast a GPU reads its memory, an H100 being 1; GPUs that are not known count as an L4."""
    return _SPEED.get(gpu, _SPEED["L4"])[0] / _SPEED["H100"][0]


def relative_compute(gpu: str) -> float:
    """How fast a GPU multiplies, an H100 being 1; GPUs that are not known count as an L4."""
    return _SPEED.get(gpu, _SPEED["L4"])[1] / _SPEED["H100"][1]
