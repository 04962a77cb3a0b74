"""Schedules gangs of workers: a gang starts when the free resources fit all of it, and the longest goes first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.resources.placement import ResourceRequest
from pipelines.planning.requests import FreeCapacity, RequestQueue

MAX_CONCURRENT_GANGS = 256


@dataclass(frozen=True, slots=True)
class Gang:
    """Work that needs all workers of `request` from its start to its end.

    `seconds` is its estimated duration. `work` returns the gangs to run after it.
    """

    request: ResourceRequest
    seconds: float
    work: Callable[[], Sequence[Gang]]


def schedule_gangs(
    gangs: Sequence[Gang],
    capacity: FreeCapacity,
    on_change: Callable[[Sequence[ResourceRequest]], None] = lambda requests: None,
) -> None:
    """Run all gangs and their follow-ups. If one raises an exception, start no further gangs and raise it.

    A gang starts only when all of it fits beside the running ones, so partly placed gangs cannot deadlock. A gang that
    is larger than `capacity` runs alone, and waits in Ray until the cluster has grown. Follow-ups go before waiting
    gangs. `on_change` receives the requests of all running gangs whenever they change.
    """
    longest_first = sorted(gangs, key=lambda gang: -gang.seconds)
    waiting = RequestQueue((gang.request, gang) for gang in longest_first)
    running: dict[Future[Sequence[Gang]], Gang] = {}
    with thread_pool(MAX_CONCURRENT_GANGS) as threads:
        while waiting or running:
            for gang in waiting.take(lambda request: not running or capacity.fits([request, *_requests(running)])):
                running[threads.submit(gang.work)] = gang
            on_change(_requests(running))
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                waiting.put_first([(gang.request, gang) for gang in future.result()])


def _requests(running: Mapping[Future[Sequence[Gang]], Gang]) -> list[ResourceRequest]:
    return [gang.request for gang in running.values()]


@contextmanager
def thread_pool(count: int) -> Generator[ThreadPoolExecutor]:
    """Yield an executor of `count` threads.

    The block does not wait for them at its end. After an interruption, Ray's shutdown stops what they wait for.
    """
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
