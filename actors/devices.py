"""Which device this process computes on, in which precision, and whether it can use its GPUs."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from cluster.resources.inventory import visible_gpus
from cluster.resources.nvml import compute_capability, driver_version

BFLOAT16_CAPABILITY = (8, 0)  # Ampere: older GPUs, such as the T4 and the V100, emulate bfloat16, and vLLM refuses it


def device_name() -> str:
    """Return `cuda` if there is a CUDA device, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def dtype_name(dtype: str, device: str) -> str:
    """Return the dtype of the weights: `auto` is float32 on a CPU, and the 16-bit dtype of the GPUs on a GPU.

    Raises:
        ValueError: If `dtype` is unknown.
    """
    names = ("float32", "bfloat16", "float16")
    if dtype == "auto":
        return "float32" if device == "cpu" else _half_precision()
    if dtype not in names:
        raise ValueError(f"unknown dtype {dtype!r}: one of auto, {', '.join(names)}")
    return dtype


def unusable_gpus() -> str:
    """Return why this process cannot use the GPUs that were reserved for it; empty if it can."""
    import torch

    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return (
            "GPUs are reserved for it, but the installed torch is for CPUs; docs/install.md says which one to install"
        )
    driver = driver_version() or "none"
    return (
        f"GPUs are reserved for it, but torch cannot use them: torch {torch.__version__} is for CUDA "
        f"{torch.version.cuda}, and the NVIDIA driver of this node is: {driver}. A newer driver is needed, or a torch "
        "for an older CUDA"
    )


def missing_compiler() -> str:
    """Return what Triton, which compiles for GPUs, lacks on this node; empty if it has all."""
    compilers = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    if not any(name and shutil.which(name) for name in compilers):
        return "its node has no C compiler, which Triton needs for GPUs; install gcc, or name a compiler in CC"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        return f"its node lacks {header}, which Triton needs for GPUs; install Python's headers (python3-dev)"
    return ""


def exit_if_cuda_failed(error: Exception) -> None:
    """Exit this process if `error` has left it without a usable GPU, as an illegal access of memory does."""
    import torch

    if not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()  # reports such an error again, whatever is computed
    except RuntimeError:
        print(f"CUDA has failed in this process; exiting: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _half_precision() -> str:
    """Return `bfloat16`, or `float16` if one of this process's GPUs has no bfloat16.

    The driver is asked, because torch would take memory of each GPU to answer.
    """
    known = [found for gpu in visible_gpus() if (found := compute_capability(gpu)) is not None]
    return "float16" if known and min(known) < BFLOAT16_CAPABILITY else "bfloat16"
