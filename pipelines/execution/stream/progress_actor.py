"""The actor that holds the running totals of a stream: workers add progress, and the driver reads the totals."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.execution.stream.totals import PartitionProgress, StepTotal, StreamTotals

STOP_TIMEOUT = 10.0  # seconds


@ray.remote(num_cpus=0)
class ProgressActor:
    """Holds the totals by step key, and the handles of the workers that report to it."""

    def __init__(self) -> None:
        self._totals = StreamTotals()
        self._workers: list[Any] = []

    def register(self, worker: Any) -> None:
        """Record the handle of a worker."""
        self._workers.append(worker)

    def workers(self) -> list[Any]:
        """Return the handles of all workers so far."""
        return self._workers

    def add(self, report: PartitionProgress) -> None:
        """Add a worker's report to the running totals."""
        self._totals.add(report)

    def totals(self) -> dict[str, StepTotal]:
        """Return the totals by step key."""
        return self._totals.by_step()


class RemoteProgress:
    """A handle of the actor for stream workers, which adds progress without waiting."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def register(self) -> None:
        """Have the worker in which this is called stopped at the end of the stream."""
        self.actor.register.remote(ray.get_runtime_context().current_actor)

    def add(self, report: PartitionProgress) -> None:
        """Send a report to the actor."""
        self.actor.add.remote(report)


@contextmanager
def progress_actor() -> Generator[Any]:
    """Yield a new progress actor, which is stopped at the end of the block together with the workers.

    Workers may still be busy if the stream failed: Ray Data lets them finish their partitions. The actor runs on the
    driver's node. On another node, it could be lost if the node is preempted, or keep the autoscaler from removing the
    node.
    """
    driver_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ProgressActor.options(scheduling_strategy=driver_node).remote()
    try:
        yield actor
    finally:
        with suppress(RayError):  # without a cluster, there is nothing to stop
            for worker in ray.get(actor.workers.remote(), timeout=STOP_TIMEOUT):
                ray.kill(worker)
        ray.kill(actor)
