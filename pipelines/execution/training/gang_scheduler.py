"""Which trainings run at the same time: whole gangs of workers, the longest first, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.resources.placement import ResourceRequest
from pipelines.planning.requests import FreeCapacity

MAX_CONCURRENT_GANGS = 256  # gangs at once


@dataclass(frozen=True, slots=True)
class Gang:
    """Work that needs all workers of `request` from its start to its end.

    `seconds` is how long it may take. `work` returns the gangs that are to run after it.
    """

    request: ResourceRequest
    seconds: float
    work: Callable[[], Sequence[Gang]]


def schedule_gangs(
    gangs: Sequence[Gang],
    capacity: FreeCapacity,
    on_change: Callable[[Sequence[ResourceRequest]], None] = lambda requests: None,
) -> None:
    """Run all gangs, and those that come of them; what one raises ends the others' waiting and is raised here.

    No gang takes resources before all of it fits beside the running ones, so none waits for another's half. One that
    is larger than the whole room runs alone, and waits in Ray for what the cluster may grow by. What comes of a gang
    goes before those that wait. `on_change` is told the requests of all that run whenever these change.
    """
    waiting = sorted(gangs, key=lambda gang: -gang.seconds)
    running: dict[Future[Sequence[Gang]], Gang] = {}
    with thread_pool(MAX_CONCURRENT_GANGS) as threads:
        while waiting or running:
            for gang in _next_startable(waiting, [gang.request for gang in running.values()], capacity):
                waiting.remove(gang)
                running[threads.submit(gang.work)] = gang
            on_change([gang.request for gang in running.values()])
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                waiting = [*future.result(), *waiting]


def _next_startable(waiting: Sequence[Gang], running: list[ResourceRequest], capacity: FreeCapacity) -> list[Gang]:
    """Those of the gangs that have room beside what runs and beside each other; the first one if nothing runs."""
    found: list[Gang] = []
    refused: set[ResourceRequest] = set()
    for gang in waiting:
        if gang.request not in refused and (not running or capacity.fits([gang.request, *running])):
            running.append(gang.request)
            found.append(gang)
        else:
            refused.add(gang.request)
    return found


@contextmanager
def thread_pool(count: int) -> Generator[ThreadPoolExecutor]:
    """Threads that are not waited for if the run is interrupted: shutting Ray down ends what they wait on."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
