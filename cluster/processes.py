"""Observes and kills actors' processes from outside: one that is stopped or busy may not answer Ray's calls."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from ray import ObjectRef

EXIT_TIMEOUT = 10.0


def kill_process(node: str, pid: int) -> ObjectRef[None]:
    """Kill an actor's process. The returned reference is ready when the process has exited or its node is lost."""
    on_its_node = NodeAffinitySchedulingStrategy(node, soft=False)
    return _kill.options(scheduling_strategy=on_its_node).remote(pid)


def process_cpu_seconds(node: str, pid: int) -> ObjectRef[float]:
    """Return the CPU seconds that a process on a node has used so far, or 0 if it has exited."""
    on_its_node = NodeAffinitySchedulingStrategy(node, soft=False)
    return _cpu_seconds.options(scheduling_strategy=on_its_node).remote(pid)


@ray.remote(num_cpus=0)
def _cpu_seconds(pid: int) -> float:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system
    return 0.0


@ray.remote(num_cpus=0)
def _kill(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process = psutil.Process(pid)
        if process.name().startswith("ray::"):  # otherwise the process id has been reused
            process.kill()
            process.wait(EXIT_TIMEOUT)
