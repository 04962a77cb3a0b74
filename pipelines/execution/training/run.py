"""Runs the training phase: students are fine-tuned concurrently, and each is evaluated as soon as it is trained."""

from __future__ import annotations

from typing import NamedTuple

from cluster.resources.inventory import Inventory
from cluster.resources.placement import ClusterCapacity
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.training.evaluators import EvaluatorPool
from pipelines.execution.training.gang_scheduler import Gang, schedule_gangs
from pipelines.execution.training.trainer import Trainer
from pipelines.planning.plan import Plan
from pipelines.planning.requests import (
    FreeCapacity,
    capacity_beside_evaluator,
    evaluations_by_training,
    evaluator_request,
    training_request,
)
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study


class TrainingResult(NamedTuple):
    """The plan after training, and one message for each step that failed and therefore stays pending."""

    plan: Plan
    failures: list[str]


def run_training(context: RunContext, plan: Plan) -> TrainingResult:
    """Run and commit all pending train and evaluate steps.

    If a student cannot be trained or evaluated, the others continue.
    """
    trains, evaluations = plan.pending_of("train"), plan.pending_of("evaluate")
    if not trains and not evaluations:
        return TrainingResult(plan, [])
    failures: list[str] = []

    def on_failure(step: Step, why: str) -> None:
        failures.append(f"{step.label}: {why}")
        emit("step failed", step=step.key, kind=step.kind, label=step.label, reason=why)
        context.progress.fail_step(step.key, step.label, why)

    by_training = evaluations_by_training(trains, evaluations)
    capacity = capacity_for(context.study, context.cluster, trains, evaluations)
    with EvaluatorPool(context, plan, bool(capacity.reserved), on_failure) as evaluators:

        def on_trained(step: Step) -> list[Gang]:
            return [gang for each in by_training[step.key] for gang in evaluators.submit(each)]

        evaluation_gangs = [gang for step in by_training[""] for gang in evaluators.submit(step)]
        trainer = Trainer(context, plan.seconds, on_trained, on_failure)
        gangs = [*trainer.plan_gangs(trains, capacity), *evaluation_gangs]
        schedule_gangs(gangs, capacity, lambda running: context.hold([*running, *capacity.reserved]))
        context.hold([])
        evaluators.finish()
    return TrainingResult(plan.with_finished(context.store.finished_keys()), failures)


def capacity_for(
    study: Study, cluster: Inventory, trains: tuple[Step, ...], evaluations: tuple[Step, ...]
) -> FreeCapacity:
    """Return the cluster's free capacity for trainings.

    A persistent evaluator is reserved if there are evaluations and it fits beside the largest training.
    """
    if not evaluations:
        return FreeCapacity(ClusterCapacity(cluster))
    requests = [training_request(study, step.params) for step in trains if isinstance(step.params, TrainParams)]
    return capacity_beside_evaluator(evaluator_request(study, evaluations), requests, ClusterCapacity(cluster))
