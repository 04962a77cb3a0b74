"""Which trainings run at the same time: whole gangs of workers, the longest first, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from actors.berth import Share

MOST = 256  # gangs at once
SLACK = 1e-6  # shares are sums of fractions


@dataclass(frozen=True, slots=True)
class Gang:
    """Work that needs all of `share` (the sum of its workers') from its start to its end.

    `seconds` is how long it may take. `work` returns the gangs that are to run after it.
    """

    share: Share
    seconds: float
    work: Callable[[], Sequence[Gang]]


def run_gangs(
    gangs: Sequence[Gang], room: Share, placed: Callable[[Sequence[Share]], None] = lambda shares: None
) -> None:
    """Run all gangs, and those that come of them; what one raises ends the others' waiting and is raised here.

    No gang takes resources before all of it fits beside the running ones, so none waits for another's half. One that
    is larger than the whole room runs alone, and waits in Ray for what the cluster may grow by. `placed` is told the
    shares of all that run whenever these change.
    """
    waiting = sorted(gangs, key=lambda gang: -gang.seconds)
    running: dict[Future[Sequence[Gang]], Gang] = {}
    with workers(MOST) as threads:
        while waiting or running:
            for gang in [*waiting]:
                if not running or _fits(gang, running.values(), room):
                    waiting.remove(gang)
                    running[threads.submit(gang.work)] = gang
            placed([gang.share for gang in running.values()])
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                waiting = sorted([*waiting, *future.result()], key=lambda gang: -gang.seconds)


@contextmanager
def workers(count: int) -> Generator[ThreadPoolExecutor]:
    """Threads that are not waited for if the run is interrupted: shutting Ray down ends what they wait on."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _fits(gang: Gang, others: Iterable[Gang], room: Share) -> bool:
    shares = [gang.share, *(other.share for other in others)]
    cpus, gpus = sum(share.cpus for share in shares), sum(share.gpus for share in shares)
    return cpus <= room.cpus + SLACK and gpus <= room.gpus + SLACK
