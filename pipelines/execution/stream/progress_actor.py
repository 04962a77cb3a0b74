"""The actor that holds the running totals of a stream: workers add progress, and the driver reads the totals."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.execution.stream.totals import StepProgress, StepTotal


@ray.remote(num_cpus=0)
class ProgressActor:
    """Holds the totals by step key."""

    def __init__(self) -> None:
        self.by_key: dict[str, StepTotal] = {}

    def add(self, progress: Mapping[str, StepProgress]) -> None:
        """Add per-step progress to the running totals."""
        for key, more in progress.items():
            self.by_key[key] = self.by_key.get(key, StepTotal()).plus(more)

    def totals(self) -> dict[str, StepTotal]:
        """Return the totals by step key."""
        return self.by_key


class RemoteProgress:
    """A handle of the actor for stream workers, which adds progress without waiting."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def add(self, progress: Mapping[str, StepProgress]) -> None:
        """Send per-step progress to the actor."""
        self.actor.add.remote(progress)


@contextmanager
def progress_actor() -> Generator[Any]:
    """Yield a new progress actor, which is stopped at the end of the block.

    It runs on the driver's node. On another node, it could be lost if the node is preempted, or keep the autoscaler
    from removing the node.
    """
    driver_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ProgressActor.options(scheduling_strategy=driver_node).remote()
    try:
        yield actor
    finally:
        ray.kill(actor)
