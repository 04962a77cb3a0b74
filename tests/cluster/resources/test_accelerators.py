"""One table of GPUs provides the numbers for estimates of memory and time, and for the MFU of trainings."""

from __future__ import annotations

import pytest

from cluster.resources.accelerators import GPUS, published_tflops, relative_bandwidth, relative_compute


@pytest.mark.parametrize(
    ("device", "published"),
    [
        ("NVIDIA H100 80GB HBM3", ("H100", 989)),
        ("NVIDIA A100-SXM4-80GB", ("A100", 312)),
        ("Tesla V100-SXM2-16GB", ("V100", 125)),
        ("NVIDIA L4", ("L4", 121)),
        ("NVIDIA L40S", ("L40S", 362)),
        ("NVIDIA B200", ("B200", 2250)),
        ("NVIDIA H20", None),
        ("NVIDIA GeForce RTX 5090", None),
    ],
)
def test_a_device_is_found_by_what_cuda_calls_it(device: str, published: tuple[str, int] | None) -> None:
    assert published_tflops(device) == published


def test_speeds_are_relative_to_an_h100_and_unknown_gpus_count_as_an_l4() -> None:
    assert relative_bandwidth("H100") == relative_compute("H100") == 1
    assert relative_compute("B200") == 2250 / 989 and relative_bandwidth("H200") == 4800 / 3350
    for unknown in ("", "P4", "H20", "MI300X"):
        assert relative_bandwidth(unknown) == relative_bandwidth("L4")
        assert relative_compute(unknown) == relative_compute("L4")


def test_a_gpu_has_both_speeds_or_none() -> None:
    assert all(gpu.memory > 0 and bool(gpu.bandwidth) == bool(gpu.tflops) for gpu in GPUS.values())
