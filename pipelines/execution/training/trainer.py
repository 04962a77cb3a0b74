"""Trains the students of a study: groups those that can share a process, trains them and commits the results."""

from __future__ import annotations

import dataclasses
import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from actors.training.spec import (
    STUDENT_PREFIX,
    TrainError,
    TrainingStopped,
    TrainOutcome,
    TrainPlacement,
    TrainRow,
    TrainSpec,
)
from actors.training.trainer import can_share_base, digest, train_to_staging
from cluster.resources.placement import ResourceRequest
from pipelines.errors import with_details
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.training.gang_scheduler import Gang
from pipelines.planning.requests import FreeCapacity, training_request
from pipelines.rows.arrow import from_table
from pipelines.rows.text import context as messages_before
from pipelines.rows.text import user_turn
from pipelines.rows.types import PairRow
from pipelines.store.manifest import Account
from pipelines.store.store import CHECKPOINT_FOLDER
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.study import Study

ROWS_PER_CPU_PASS = 16  # on a CPU, larger passes are slower per row: their activations do not fit into its caches


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """The train steps of one process: one step, or several LoRA steps that differ only in their rows."""

    spec: TrainSpec
    placement: TrainPlacement
    steps: tuple[Step, ...]

    @property
    def request(self) -> ResourceRequest:
        """The resources of all its workers."""
        return _request(self.placement)

    def split(self) -> list[PlannedTraining]:
        """Return one training per student."""
        return [dataclasses.replace(self, steps=(step,)) for step in self.steps]


class Trainer:
    """Trains the students of a plan.

    Args:
        seconds: The planned times of the steps, by key.
        trained: Called with each step as soon as it is committed; returns the gangs to run after it.
        failed: Called with each failed step and the reason.
    """

    def __init__(
        self,
        context: RunContext,
        seconds: Mapping[str, float],
        trained: Callable[[Step], Sequence[Gang]],
        failed: Callable[[Step, str], None],
    ) -> None:
        self.context, self.planned_seconds, self.on_trained, self.on_failure = context, seconds, trained, failed

    def plan_gangs(self, steps: Sequence[Step], capacity: FreeCapacity) -> list[Gang]:
        """Return the trainings of `steps` as gangs, grouped for a cluster with this capacity."""
        return [self.to_gang(training) for training in plan_trainings(self.context, steps, capacity)]

    def to_gang(self, training: PlannedTraining) -> Gang:
        """Return a training as a gang to be scheduled."""
        seconds = sum(self.planned_seconds[step.key] for step in training.steps)
        return Gang(training.request, seconds, lambda: self.run(training))

    def run(self, training: PlannedTraining) -> list[Gang]:
        """Train and commit the students of a training; return the gangs to run next.

        Students that fail together are retried one by one. A student that fails alone is reported to `on_failure`.
        """
        try:
            return self.train(training)
        except TrainingStopped:
            return []
        except TrainError as error:
            self.context.retries.add_training(training.steps[0].label, error.restarts)
            if len(training.steps) > 1:
                return [self.to_gang(single) for single in training.split()]
            for step in training.steps:
                self.on_failure(step, with_details(str(error), error))
        except Exception as error:
            error.add_note(f"training {training.steps[0].label}")
            raise
        return []

    def train(self, training: PlannedTraining) -> list[Gang]:
        """Train and commit all students of one process; return the gangs to run next.

        Raises:
            TrainError: If the training fails.
        """
        context, steps, started, follow_ups = self.context, training.steps, time.monotonic(), list[Gang]()

        def on_progress(done: int, total: int, loss: float) -> None:
            for step in steps:
                context.progress.update(step.key, step.label, done, total, loss=loss)

        texts = [self.training_rows(step) for step in steps]
        name = f"{CHECKPOINT_FOLDER}.{digest(training.spec, texts)}"
        staging = context.store.staging_path(steps[0].kind, steps[0].key, name)  # the first commit removes it
        outcomes = train_to_staging(training.spec, texts, staging, training.placement, on_progress)
        context.retries.add_training(steps[0].label, outcomes[0].restarts)
        for number, step in enumerate(steps):
            context.store.promote(step.kind, step.key, CHECKPOINT_FOLDER, f"{staging}/{STUDENT_PREFIX}{number}")
        for step, outcome in zip(steps, outcomes, strict=True):
            shards = context.store.files(step.kind, step.key, CHECKPOINT_FOLDER)
            seconds = (time.monotonic() - started) / len(steps)
            manifest = commit_step(context.store, step, _account(outcome), shards, seconds, _extra(outcome, training))
            context.progress.finish_step(manifest)
            if outcome.shortened:
                context.progress.print(f"[yellow]{escape(step.label)}[/yellow]: {_shortened(outcome, training.spec)}")
            follow_ups += self.on_trained(step)
        return follow_ups

    def training_rows(self, step: Step) -> list[TrainRow]:
        """Return the rows of a train step, with the conversations that they end."""
        source, with_thoughts = step.inputs[0], _params(step).thoughts
        pairs = from_table(PairRow, self.context.store.rows(source.kind, source.key))
        return [train_row(pair, with_thoughts) for pair in pairs]


def train_row(pair: PairRow, with_thoughts: bool) -> TrainRow:
    """Return what a student learns of a pair: the answer and, with `with_thoughts`, the teacher's thoughts if any."""
    thoughts = pair.thoughts if with_thoughts and pair.thoughts else None
    return TrainRow(user_turn(pair.instruction, pair.input), pair.response, messages_before(pair), thoughts)


def plan_trainings(context: RunContext, steps: Sequence[Step], capacity: FreeCapacity) -> Iterator[PlannedTraining]:
    """Group steps into trainings. LoRA students of one base and recipe share processes if that leaves no capacity idle.

    On CPUs, they share one only while all rows of a pass are few: it saves overhead, which is small in large passes.
    Students with similar row counts are grouped: all students of a process take the optimizer steps of the largest.
    """
    alike: defaultdict[tuple[TrainSpec, TrainPlacement, int], list[Step]] = defaultdict(list)
    for step in steps:
        job = _params(step)
        spec, resources = train_spec(context.study, context.folder, job), placement(context.study, job)
        alike[spec, resources, job.resources.together].append(step)
    for (spec, resources, max_group), group in alike.items():
        slots = _max_concurrent(_request(resources), len(group), capacity)
        size = min(_max_sharing(spec, resources, max_group), math.ceil(len(group) / slots))
        group.sort(key=lambda step: context.row_counts.of(step.inputs[0]))
        for start in range(0, len(group), size):
            yield PlannedTraining(spec, resources, tuple(group[start : start + size]))


def train_spec(study: Study, folder: Path, job: TrainParams) -> TrainSpec:
    """Translate a recipe into the trainer's spec."""
    model, recipe = study.models[job.model], job.recipe
    base = engine_spec(model, folder)
    targets = recipe.lora_targets if isinstance(recipe.lora_targets, list) else [recipe.lora_targets]
    return TrainSpec(
        base=base.model,
        revision=base.revision,
        dtype=model.dtype if recipe.precision == "auto" else recipe.precision,
        seed=job.seed,
        lora_targets=tuple(targets),
        thinking=job.thoughts,
        chat_template=base.chat_template if job.template is None else job.template,
        template_args=base.template_args,
        **recipe.model_dump(exclude={"precision", "lora_targets", "template"}),
    )


def placement(study: Study, job: TrainParams) -> TrainPlacement:
    """Return where a training runs: on the student's resources, by default on the model's CPUs and one GPU."""
    resources, request = job.resources, training_request(study, job)
    return TrainPlacement(
        workers=request.replicas,
        cpus=request.cpus,
        gpus=request.gpus,
        sharding=resources.sharding,
        gradient_checkpointing=resources.gradient_checkpointing,
        checkpoint_steps=resources.checkpoint_steps,
        kind=request.accelerator_type,
    )


def _request(placement: TrainPlacement) -> ResourceRequest:
    return ResourceRequest(
        "training", placement.cpus, placement.gpus, placement.workers, accelerator_type=placement.kind
    )


def _params(step: Step) -> TrainParams:
    assert isinstance(step.params, TrainParams)
    return step.params


def _max_sharing(spec: TrainSpec, placement: TrainPlacement, max_group: int) -> int:
    """Return how many students may share a process: `max_group`, or fewer where sharing would cost time."""
    if not can_share_base(spec, placement):
        return 1
    return max_group if placement.gpus else min(max_group, max(1, ROWS_PER_CPU_PASS // spec.micro_batch_size))


def _max_concurrent(training: ResourceRequest, limit: int, capacity: FreeCapacity) -> int:
    """Return how many of `limit` such trainings fit at the same time, at least 1."""
    return max(1, bisect_left(range(1, limit + 1), True, key=lambda count: not capacity.fits([training] * count)))


def _account(outcome: TrainOutcome) -> Account:
    reasons = {"no_target": outcome.dropped} if outcome.dropped else {}
    total = outcome.rows + outcome.dropped
    return Account(rows_in=total, rows_out=outcome.rows, rejected=outcome.dropped, reasons=reasons)


def _shortened(outcome: TrainOutcome, spec: TrainSpec) -> str:
    limit = f"max_length ({spec.max_length} tokens) or the model's positions"
    return f"{outcome.shortened} of {outcome.rows} rows are longer than {limit} and were cut"


def _extra(outcome: TrainOutcome, training: PlannedTraining) -> dict[str, object]:
    return {
        "losses": outcome.losses,
        "tokens": outcome.tokens,
        "shortened": outcome.shortened,
        "train_seconds": outcome.seconds,
        "start_seconds": outcome.start / outcome.together,
        "restarts": outcome.restarts,
        "speed": dataclasses.asdict(outcome.speed),
        "placement": dataclasses.asdict(training.placement) | {"together": outcome.together},
    }
