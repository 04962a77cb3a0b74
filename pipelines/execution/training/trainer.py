"""Trainings of a study: which students share a process, what each process needs, and what is kept of it."""

from __future__ import annotations

import dataclasses
import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from actors.training.spec import STUDENT, TrainError, TrainOutcome, TrainPlacement, TrainSpec
from actors.training.trainer import can_share, digest, train_aside
from cluster.resources.placement import Request
from pipelines.execution.runtime.commit import commit
from pipelines.execution.runtime.context import Context
from pipelines.execution.training.gang_scheduler import Gang
from pipelines.planning.requests import Room, training_request
from pipelines.rows.arrow import from_table
from pipelines.rows.text import user_turn
from pipelines.rows.types import PairRow
from pipelines.store.manifest import Account
from pipelines.store.store import CHECKPOINT
from pipelines.study.graph.params import TrainJob
from pipelines.study.graph.step import Step
from pipelines.study.inputs.models import engine_spec


@dataclass(frozen=True, slots=True)
class Training:
    """Train steps of one process: one, or several LoRA ones that share all but their rows."""

    spec: TrainSpec
    placement: TrainPlacement
    steps: tuple[Step, ...]

    @property
    def request(self) -> Request:
        """What its workers need at once."""
        return _request(self.placement)

    def alone(self) -> list[Training]:
        """Its students one by one."""
        return [dataclasses.replace(self, steps=(step,)) for step in self.steps]


class Trainer:
    """Trains the students of a plan. `trained` is told of every finished step at once, and returns the work that comes
    of it; `failed` is told of every failure."""

    def __init__(
        self, context: Context, trained: Callable[[Step], Sequence[Gang]], failed: Callable[[Step, str], None]
    ) -> None:
        self.context, self.trained, self.failed = context, trained, failed

    def gangs(self, steps: Sequence[Step], room: Room) -> list[Gang]:
        """All trainings, for a cluster with so much room."""
        return [self.gang(training) for training in shared(self.context, steps, room)]

    def gang(self, training: Training) -> Gang:
        """A training as work to be placed."""
        seconds = sum(self.context.plan.seconds[step.key] for step in training.steps)
        return Gang(training.request, seconds, lambda: self.run(training))

    def run(self, training: Training) -> list[Gang]:
        """Train and commit; returns what comes of it. Students that fail together are tried again one by one."""
        try:
            return self.train(training)
        except TrainError as error:
            self.context.retries.of_training(training.steps[0].label, error.restarts)
            if len(training.steps) > 1:
                return [self.gang(one) for one in training.alone()]
            for step in training.steps:
                self.failed(step, str(error))
        return []

    def train(self, training: Training) -> list[Gang]:
        """Train and commit all students of one process; returns what comes of it."""
        context, steps, started, after = self.context, training.steps, time.monotonic(), list[Gang]()

        def told(done: int, total: int, loss: float) -> None:
            for step in steps:
                context.board.update(step.key, step.label, done, total)

        texts = [self.texts(step) for step in steps]
        name = f"{CHECKPOINT}.{digest(training.spec, texts)}"
        aside = context.store.aside(steps[0].kind, steps[0].key, name)  # goes with the first commit
        outcomes = train_aside(training.spec, texts, aside, training.placement, told)
        context.retries.of_training(steps[0].label, outcomes[0].restarts)
        for number, step in enumerate(steps):
            context.store.settle(step.kind, step.key, CHECKPOINT, f"{aside}/{STUDENT}{number}")
        for step, outcome in zip(steps, outcomes, strict=True):
            shards = context.store.files(step.kind, step.key, CHECKPOINT)
            seconds = (time.monotonic() - started) / len(steps)
            manifest = commit(context.store, step, _account(outcome), shards, seconds, _extra(outcome, training))
            context.board.finish(step.key, context.told(manifest))
            after += self.trained(step)
        return after

    def texts(self, step: Step) -> list[tuple[str, str]]:
        """The rows of a train step: user turns and responses."""
        source = step.inputs[0]
        pairs = from_table(PairRow, self.context.store.rows(source.kind, source.key))
        return [(user_turn(pair.instruction, pair.input), pair.response) for pair in pairs]


def shared(context: Context, steps: Sequence[Step], room: Room) -> Iterator[Training]:
    """The steps as trainings. LoRA students of one base and recipe share processes as far as none stays idle for it.

    Those with like many rows come together, as all take as many steps as the largest.
    """
    alike: defaultdict[tuple[TrainSpec, TrainPlacement, int], list[Step]] = defaultdict(list)
    for step in steps:
        job = _job(step)
        alike[train_spec(context, job), placement(context, job), job.place.together].append(step)
    for (spec, place, most), group in alike.items():
        slots = _slots(_request(place), len(group), room)
        size = min(most, math.ceil(len(group) / slots)) if can_share(spec, place) else 1
        group.sort(key=lambda step: context.rows_of(step.inputs[0]))
        for start in range(0, len(group), size):
            yield Training(spec, place, tuple(group[start : start + size]))


def train_spec(context: Context, job: TrainJob) -> TrainSpec:
    """The trainer's words for a recipe."""
    model, recipe = context.study.models[job.model], job.recipe
    base = engine_spec(model, context.folder)
    targets = recipe.lora_targets if isinstance(recipe.lora_targets, list) else [recipe.lora_targets]
    return TrainSpec(
        base=base.model,
        revision=base.revision,
        dtype=model.dtype if recipe.precision == "auto" else recipe.precision,
        seed=job.seed,
        lora_targets=tuple(targets),
        **recipe.model_dump(exclude={"precision", "lora_targets"}),
    )


def placement(context: Context, job: TrainJob) -> TrainPlacement:
    """Where a training runs: as its student says, on the model's CPUs and GPUs unless it says otherwise."""
    place, asked = job.place, training_request(context.study, job)
    return TrainPlacement(
        workers=asked.replicas,
        cpus=asked.cpus,
        gpus=asked.gpus,
        sharding=place.sharding,
        gradient_checkpointing=place.gradient_checkpointing,
        checkpoint_steps=place.checkpoint_steps,
        kind=asked.kind,
    )


def _request(placement: TrainPlacement) -> Request:
    return Request("training", placement.cpus, placement.gpus, placement.workers, kind=placement.kind)


def _job(step: Step) -> TrainJob:
    assert isinstance(step.job, TrainJob)
    return step.job


def _slots(training: Request, most: int, room: Room) -> int:
    """How many of `most` such trainings run side by side; one at least."""
    return max(1, bisect_left(range(1, most + 1), True, key=lambda count: not room.holds([training] * count)))


def _account(outcome: TrainOutcome) -> Account:
    reasons = {"no_target": outcome.dropped} if outcome.dropped else {}
    total = outcome.rows + outcome.dropped
    return Account(rows_in=total, rows_out=outcome.rows, rejected=outcome.dropped, reasons=reasons)


def _extra(outcome: TrainOutcome, training: Training) -> dict[str, object]:
    return {
        "losses": outcome.losses,
        "tokens": outcome.tokens,
        "train_seconds": outcome.seconds,
        "start_seconds": outcome.start / outcome.together,
        "restarts": outcome.restarts,
        "speed": dataclasses.asdict(outcome.speed),
        "placement": dataclasses.asdict(training.placement) | {"together": outcome.together},
    }
