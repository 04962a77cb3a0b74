"""The sure end of an actor's process: Ray tells it to exit, which one that is stopped or busy hears late or never."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from ray import ObjectRef

EXIT_TIMEOUT = 10.0


def kill_process(node: str, pid: int) -> ObjectRef[None]:
    """Have an actor's process on a node killed; what is returned is ready when it is gone, or its node is."""
    on_its_node = NodeAffinitySchedulingStrategy(node, soft=False)
    return _kill.options(scheduling_strategy=on_its_node).remote(pid)


@ray.remote(num_cpus=0)
def _kill(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process = psutil.Process(pid)
        if process.name().startswith("ray::"):  # and not another one that has this number by now
            process.kill()
            process.wait(EXIT_TIMEOUT)
