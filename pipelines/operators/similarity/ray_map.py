"""Many calls of a function as tasks on Ray, a bounded number at a time, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray

CALLS_PER_CPU = 2  # calls that wait at each CPU: none idles, and few results wait to be taken


def ray_map(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each of these arguments on the connected Ray, one CPU each; results in order.

    References among the arguments become what they stand for.
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
