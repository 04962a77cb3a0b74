"""How long trainings and evaluations will take side by side: what `gangs` and `examiners` do, in advance."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Sequence

from cluster.resources.inventory import Inventory
from cluster.resources.placement import Ground, Request
from pipelines.planning.requests import START_SECONDS, examined_after, examiner_request, room_beside, training_request
from pipelines.study.graph.params import TrainJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.study import Study

Timed = Sequence[tuple[Step, float]]
"""Steps with their seconds, in an order that can be run."""


class Timetable:
    """Trainings side by side while there is room, the longest first, and evaluations as their students are there."""

    def __init__(self, steps: Timed, study: Study, here: Inventory) -> None:
        self.seconds, self.ground = {step.key: spent for step, spent in steps}, Ground(here)
        trains, exams = ([step for step, _ in steps if step.kind == kind] for kind in ("train", "evaluate"))
        self.trains = sorted(trains, key=lambda step: -self.seconds[step.key])
        self.asked = {step.key: training_request(study, step.job) for step in trains if isinstance(step.job, TrainJob)}
        self.after, self.examiner = examined_after(trains, exams), examiner_request(study, exams)
        kept = room_beside(self.examiner, self.asked.values(), self.ground).kept if exams else ()
        self.kept = bool(kept)  # an examiner, for which trainings leave room
        self.waiting = deque(self._exams(""))
        self.now, self.left = 0.0, sum(self.waiting)
        self.ends: list[tuple[float, str]] = []  # of what runs: a training's key, or "" for an evaluation
        self.running = Counter[Request]()

    def wall(self) -> float:
        """Seconds from the first training to the last evaluation."""
        while self.waiting or self.trains or self.ends:
            while self.waiting and self._may_examine():
                spent = self.waiting.popleft()
                self.left -= spent
                self._start("", spent, self.examiner)
            self._train()
            self._end()
        return self.now

    def _exams(self, key: str) -> list[float]:
        return [self.seconds[step.key] for step in self.after[key]]

    def _may_examine(self) -> bool:
        if not self.running[self.examiner] and (self.kept or not self.ends):
            return True
        return (self.left >= START_SECONDS or not self.kept) and self._holds(self.examiner)

    def _train(self) -> None:
        left: list[Step] = []
        refused: set[Request] = set()
        for step in self.trains:
            asked = self.asked[step.key]
            if asked not in refused and (not self.ends or self._holds(asked)):
                self._start(step.key, self.seconds[step.key], asked)
            else:
                refused.add(asked)
                left.append(step)
        self.trains = left

    def _holds(self, more: Request) -> bool:
        """Whether one more has room beside what runs, and a training beside the examiner that is kept, too."""
        least = Counter({self.examiner: int(self.kept)}) | self.running
        return self.ground.holds(least + Counter([more]))

    def _start(self, key: str, seconds: float, asked: Request) -> None:
        heapq.heappush(self.ends, (self.now + seconds, key))
        self.running[asked] += 1

    def _end(self) -> None:
        """Go on to the next end."""
        self.now, key = heapq.heappop(self.ends)
        self.running[self.asked[key] if key else self.examiner] -= 1
        self.waiting += self._exams(key) if key else []
        self.left = sum(self.waiting) if key else self.left
