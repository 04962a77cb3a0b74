"""The running totals of a stream: workers add, the driver looks."""

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
        """Take note of what was added to each step."""
        for key, more in progress.items():
            self.by_key[key] = self.by_key.get(key, StepTotal()).plus(more)

    def totals(self) -> dict[str, StepTotal]:
        """All totals."""
        return self.by_key


class RemoteProgress:
    """A tally that workers can hold: adds without waiting."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def add(self, progress: Mapping[str, StepProgress]) -> None:
        """Take note of what was added to each step."""
        self.actor.add.remote(progress)


@contextmanager
def progress_actor() -> Generator[Any]:
    """A new tally actor for the block.

    It lives beside the driver and ends with the block: a process that is left on a node that may go would keep it, or
    be lost with it.
    """
    driver_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ProgressActor.options(scheduling_strategy=driver_node).remote()
    try:
        yield actor
    finally:
        ray.kill(actor)
