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
        ("NVIDIA H200", ("H200", 989)),
        ("NVIDIA B200", ("B200", 2250)),
        ("NVIDIA GB200", ("GB200", 2500)),
        ("NVIDIA GH200 480GB", ("GH200", 989)),
        ("NVIDIA H20", None),
        ("NVIDIA GeForce RTX 5090", None),
    ],
)
def test_a_device_is_found_by_what_cuda_calls_it(device: str, published: tuple[str, int] | None) -> None:
    assert published_tflops(device) == published


@pytest.mark.parametrize("device", ["NVIDIA GH200 480GB", "NVIDIA GB200", "NVIDIA B200", "NVIDIA H100 80GB HBM3"])
def test_names_are_those_that_ray_gives_to_nodes(device: str) -> None:
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

    assert NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type(device) in GPUS


def test_speeds_are_relative_to_an_h100_and_unknown_gpus_count_as_an_l4() -> None:
    assert relative_bandwidth("H100") == relative_compute("H100") == 1
    assert relative_compute("B200") == 2250 / 989 and relative_bandwidth("H200") == 4800 / 3350
    for unknown in ("", "P4", "H20", "MI300X"):
        assert relative_bandwidth(unknown) == relative_bandwidth("L4")
        assert relative_compute(unknown) == relative_compute("L4")


def test_a_gpu_has_both_speeds_or_none() -> None:
    assert all(gpu.memory > 0 and bool(gpu.bandwidth) == bool(gpu.tflops) for gpu in GPUS.values())
