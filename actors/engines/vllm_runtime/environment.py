"""The environment variables of vLLM's processes, which inherit them from the process that starts them."""

from __future__ import annotations

import os
from collections.abc import Mapping

# vLLM's limit is wall time, and cannot tell a slow load from one that hangs. The replica's watchdog can.
READY_SECONDS = 24 * 3600
DEFAULTS = {
    "VLLM_ENGINE_READY_TIMEOUT_S": str(READY_SECONDS),
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # workers only log why they fail, and `failure_cause` reads stderr
}
DEVICE_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    # every request is greedy or has a seed, for which this sampler is never used; yet it would be compiled at each
    # start, which needs nvcc and ninja
    "cuda": {
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # this process has asked torch for CUDA, which no fork survives
    },
    "cpu": {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # otherwise all engines share one core
        "TORCH_COMPILE_DISABLE": "1",  # otherwise compiling C++ delays the first text by minutes
        # the scheduler and the model share a process. Otherwise the scheduler keeps a core busy while it waits, which
        # takes a third of the throughput on two cores
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    },
}


def set_environment(device: str, batch_invariant: bool) -> None:
    """Set the variables for vLLM on a device ("cuda" or "cpu"), before vLLM is imported.

    Variables that are set already are left alone, except those on which results depend. `batch_invariant` is the option
    of this name, which has no effect on a CPU.
    """
    for name, value in {**DEFAULTS, **DEVICE_DEFAULTS[device]}.items():
        os.environ.setdefault(name, value)
    os.environ["VLLM_BATCH_INVARIANT"] = str(int(batch_invariant and device == "cuda"))
    os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # the additional token is never fed back into the model
