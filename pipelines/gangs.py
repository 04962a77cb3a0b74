"""Which trainings run at the same time: whole gangs of workers, the longest first, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.placement import Ground, Request
from pipelines.study.spec import Study
from pipelines.study.steps import EvaluateJob, Step, TrainJob

MOST = 256  # gangs at once
START_SECONDS = 15.0  # of evaluations that wait, for one more examiner to be worth its start


@dataclass(frozen=True, slots=True)
class Gang:
    """Work that needs all workers of `request` from its start to its end.

    `seconds` is how long it may take. `work` returns the gangs that are to run after it.
    """

    request: Request
    seconds: float
    work: Callable[[], Sequence[Gang]]


@dataclass(frozen=True, slots=True)
class Room:
    """A cluster, beside what is `kept` from gangs throughout."""

    ground: Ground
    kept: tuple[Request, ...] = ()

    def holds(self, requests: Iterable[Request]) -> bool:
        """Whether all of these have room at the same time."""
        return self.ground.holds([*self.kept, *requests])


def examiner_request(study: Study, steps: Iterable[Step]) -> Request:
    """What a replica takes that can examine the students of all these steps."""
    models = [study.models[step.job.model] for step in steps if isinstance(step.job, EvaluateJob)]
    cpus, gpus = (max((getattr(model, of) for model in models), default=0.0) for of in ("cpus", "gpus"))
    return Request("examiner", cpus, gpus, kind=max((model.accelerator for model in models), default=""))


def training_request(study: Study, job: TrainJob) -> Request:
    """What the workers of a training take: as its student says, as much as its model unless it says otherwise."""
    model, place = study.models[job.model], job.place
    cpus = model.cpus if place.cpus is None else place.cpus
    gpus = model.gpus if place.gpus is None else place.gpus
    return Request("training", cpus, gpus, place.workers, kind=model.accelerator if gpus else "")


def examined_after(trains: Iterable[Step], evaluations: Iterable[Step]) -> dict[str, list[Step]]:
    """Evaluations by the key of the training that they wait for; by "" those that wait for none."""
    after: dict[str, list[Step]] = {"": []} | {train.key: [] for train in trains}
    for step in evaluations:
        after[next((needed.key for needed in step.inputs if needed.key in after), "")].append(step)
    return after


def room_beside(examiner: Request, gangs: Iterable[Request], ground: Ground) -> Room:
    """The room for gangs beside an examiner that stays throughout; all of it if one of them would not fit then."""
    beside = Room(ground, (examiner,))
    return beside if all(beside.holds([gang]) for gang in set(gangs)) else Room(ground)


def run_gangs(
    gangs: Sequence[Gang], room: Room, placed: Callable[[Sequence[Request]], None] = lambda requests: None
) -> None:
    """Run all gangs, and those that come of them; what one raises ends the others' waiting and is raised here.

    No gang takes resources before all of it fits beside the running ones, so none waits for another's half. One that
    is larger than the whole room runs alone, and waits in Ray for what the cluster may grow by. What comes of a gang
    goes before those that wait. `placed` is told the requests of all that run whenever these change.
    """
    waiting = sorted(gangs, key=lambda gang: -gang.seconds)
    running: dict[Future[Sequence[Gang]], Gang] = {}
    with workers(MOST) as threads:
        while waiting or running:
            for gang in _startable(waiting, [gang.request for gang in running.values()], room):
                waiting.remove(gang)
                running[threads.submit(gang.work)] = gang
            placed([gang.request for gang in running.values()])
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                waiting = [*future.result(), *waiting]


def _startable(waiting: Sequence[Gang], running: list[Request], room: Room) -> list[Gang]:
    """Those of the gangs that have room beside what runs and beside each other; the first one if nothing runs."""
    found: list[Gang] = []
    refused: set[Request] = set()
    for gang in waiting:
        if gang.request not in refused and (not running or room.holds([gang.request, *running])):
            running.append(gang.request)
            found.append(gang)
        else:
            refused.add(gang.request)
    return found


@contextmanager
def workers(count: int) -> Generator[ThreadPoolExecutor]:
    """Threads that are not waited for if the run is interrupted: shutting Ray down ends what they wait on."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
