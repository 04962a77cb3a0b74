"""Kills actors' processes reliably: Ray only asks them to exit, which a stopped or busy process may not notice."""

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


@ray.remote(num_cpus=0)
def _kill(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process = psutil.Process(pid)
        if process.name().startswith("ray::"):  # otherwise the process id has been reused
            process.kill()
            process.wait(EXIT_TIMEOUT)
