"""The peak that a training's speed is compared with is measured with products that fill the device."""

from __future__ import annotations

import torch

from actors.training.peak_flops import MATMUL_SIZES, peak_flops
from cluster.resources.memory_footprint import SERVE_WORKSPACE

MULTIPROCESSORS, TILE = 160, 256  # more than any GPU has, and the side of a product's largest tiles


def test_products_on_gpus_keep_all_multiprocessors_busy_and_fit_beside_a_training() -> None:
    size = MATMUL_SIZES["cuda"]
    assert (size / TILE) ** 2 >= 6 * MULTIPROCESSORS
    assert 3 * size**2 * torch.float32.itemsize < SERVE_WORKSPACE


def test_the_peak_of_a_cpu_is_measured() -> None:
    flops, source = peak_flops(torch.device("cpu"), torch.float32, 1)
    assert flops > 1e9 and source == "measured: 1024 x 1024 products in float32 on 1 CPU thread(s)"
