"""Runs many calls of a function as Ray tasks, with bounded concurrency and ordered results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray

CALLS_PER_CPU = 2  # calls in flight per CPU: no CPU is idle, and few results are buffered


def ray_map(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each tuple of arguments as a Ray task with one CPU; yield results in order.

    Object references among the arguments are resolved.
    """
    task = ray.remote(num_cpus=1)(function)
    max_waiting = max(1, int(ray.cluster_resources().get("CPU", 1)) * CALLS_PER_CPU)
    waiting: deque[ray.ObjectRef[Any]] = deque()
    for call in calls:
        if len(waiting) == max_waiting:
            yield ray.get(waiting.popleft())
        waiting.append(task.remote(*call))
    while waiting:
        yield ray.get(waiting.popleft())
