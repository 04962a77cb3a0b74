"""GPUs as the driver, torch, Ray and our own table see them."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from actors.training.peak_flops import peak_flops
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import device, on_gpu
from cluster.resources.accelerators import GPUS, published_tflops
from cluster.resources.gpu_memory import wait_until_free
from cluster.resources.nvml import gpu_uuids, query_gpu_memory


def run(record: Recorder) -> None:
    """Check that all of them agree, and measure the peak of matrix products."""
    seen, there = torch.cuda.device_count(), gpu_uuids()
    record.check(
        "torch sees a GPU wherever the driver has one", (seen > 0) == bool(there), torch=seen, driver=len(there)
    )
    if there:
        memory = query_gpu_memory(there)
        record.check("the driver reports memory", len(memory) >= len(there), mib=[each.total for each in memory])
        wait_until_free([each.name for each in memory], 0.8, 5)
        record.check("80 % of each GPU's memory is free", True, free_mib=[each.free for each in memory])
    for dtype in (torch.bfloat16, torch.float32) if on_gpu() else (torch.float32,):
        flops, source = peak_flops(device(), dtype, 1)
        record.check(f"peak in {str(dtype).partition('.')[2]}", flops > 0, tflops=flops / 1e12, source=source)
    if on_gpu():
        _compare_names(record, torch.cuda.get_device_name(0))


def _compare_names(record: Recorder, name: str) -> None:
    record.check("the data sheet's peak is in the table", published_tflops(name) is not None, gpu=name)
    if find_spec("ray") is None:
        record.skip("Ray's name of the GPU is in the table", "not installed: ray")
        return
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

    kind = NvidiaGPUAcceleratorManager.get_current_node_accelerator_type()
    record.check("Ray's name of the GPU is in the table", kind in GPUS, ray=kind)
