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
