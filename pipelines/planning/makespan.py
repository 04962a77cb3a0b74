"""Estimates how long parallel trainings and evaluations take, by simulating the gang scheduler and evaluators."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from cluster.resources.inventory import Inventory
from cluster.resources.placement import ClusterCapacity, ResourceRequest
from pipelines.planning.requests import (
    EVALUATOR_START_SECONDS,
    RequestQueue,
    capacity_beside_evaluator,
    evaluations_by_training,
    evaluator_request,
    training_request,
)
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import TrainingResources

TimedSteps = Sequence[tuple[Step, float]]
"""Steps with their seconds, in topological order."""


class MakespanSimulation:
    """Simulates parallel trainings, the longest first, and the evaluation of each student after its training."""

    def __init__(self, steps: TimedSteps, study: Study, inventory: Inventory) -> None:
        self.seconds, self.cluster = {step.key: duration for step, duration in steps}, ClusterCapacity(inventory)
        trains, evaluations = ([step for step, _ in steps if step.kind == kind] for kind in ("train", "evaluate"))
        self.requests = _training_requests(trains, study)
        longest_first = sorted(trains, key=lambda step: -self.seconds[step.key])
        self.trains = RequestQueue((self.requests[step.key], step) for step in longest_first)
        self.evaluations_by_training, self.evaluator = (
            evaluations_by_training(trains, evaluations),
            evaluator_request(study, evaluations),
        )
        kept = (
            capacity_beside_evaluator(self.evaluator, self.requests.values(), self.cluster).reserved
            if evaluations
            else ()
        )
        self.evaluator_reserved = bool(kept)  # whether trainings leave room for an evaluator
        self.waiting = deque(self._evaluations(""))
        self.now, self.waiting_seconds = 0.0, sum(self.waiting)
        self.end_times: list[tuple[float, str]] = []  # of running steps: a training's key, or "" for an evaluation
        self.running = Counter[ResourceRequest]()
        self._known = dict[tuple[ResourceRequest, *tuple[int, ...]], bool]()  # whether one more fits beside these

    def makespan(self) -> float:
        """Return the seconds from the start of the first training to the end of the last evaluation."""
        while self.waiting or self.trains or self.end_times:
            while self.waiting and self._can_evaluate():
                duration = self.waiting.popleft()
                self.waiting_seconds -= duration
                self._start("", duration, self.evaluator)
            self._start_trainings()
            self._advance()
        return self.now

    def _evaluations(self, key: str) -> list[float]:
        return [self.seconds[step.key] for step in self.evaluations_by_training[key]]

    def _can_evaluate(self) -> bool:
        if not self.running[self.evaluator] and (self.evaluator_reserved or not self.end_times):
            return True
        return (self.waiting_seconds >= EVALUATOR_START_SECONDS or not self.evaluator_reserved) and self._fits(
            self.evaluator
        )

    def _start_trainings(self) -> None:
        for step in self.trains.take(lambda request: not self.end_times or self._fits(request)):
            self._start(step.key, self.seconds[step.key], self.requests[step.key])

    def _fits(self, more: ResourceRequest) -> bool:
        """Return whether one more request fits next to the running ones and to the reserved evaluator, if any."""
        state = (more, *self.running.values())
        if state not in self._known:
            self._known[state] = self._check(more)
        return self._known[state]

    def _check(self, more: ResourceRequest) -> bool:
        occupied = dict(self.running)
        if self.evaluator_reserved:
            occupied[self.evaluator] = max(1, self.running[self.evaluator])
        occupied[more] = occupied.get(more, 0) + 1
        return self.cluster.holds(occupied)

    def _start(self, key: str, seconds: float, request: ResourceRequest) -> None:
        heapq.heappush(self.end_times, (self.now + seconds, key))
        self.running[request] += 1

    def _advance(self) -> None:
        """Advance the clock to the end of the next step that finishes."""
        self.now, key = heapq.heappop(self.end_times)
        self.running[self.requests[key] if key else self.evaluator] -= 1
        evaluations = self._evaluations(key) if key else []
        self.waiting += evaluations
        self.waiting_seconds += sum(evaluations)


def _training_requests(trains: Iterable[Step], study: Study) -> dict[str, ResourceRequest]:
    """Return the request of each training by its key. Trainings with the same resources share one object."""
    known: dict[tuple[str, TrainingResources], ResourceRequest] = {}
    found: dict[str, ResourceRequest] = {}
    for step in trains:
        if isinstance(job := step.params, TrainParams):
            use = (job.model, job.resources)
            if use not in known:
                known[use] = training_request(study, job)
            found[step.key] = known[use]
    return found
