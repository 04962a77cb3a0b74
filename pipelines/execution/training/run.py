"""The training phase: students are fine-tuned side by side, and each is evaluated as soon as it is trained."""

from __future__ import annotations

from rich.markup import escape

from cluster.resources.placement import ClusterCapacity
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.training.evaluators import EvaluatorPool
from pipelines.execution.training.gang_scheduler import Gang, schedule_gangs
from pipelines.execution.training.trainer import Trainer
from pipelines.planning.requests import (
    FreeCapacity,
    capacity_beside_evaluator,
    evaluations_by_training,
    evaluator_request,
    training_request,
)
from pipelines.study.graph.params import TrainParams
from pipelines.study.graph.step import Step


def run_training(context: RunContext) -> list[str]:
    """Run all unfinished train and evaluate steps of the plan, and commit them.

    A student that can not be trained or examined does not hold back the others: returns one message for each.
    """
    trains, evaluations = context.plan.pending_of("train"), context.plan.pending_of("evaluate")
    if not trains and not evaluations:
        return []
    failures: list[str] = []

    def on_failure(step: Step, why: str) -> None:
        failures.append(f"{step.label}: {why}")
        emit("step failed", step=step.key, kind=step.kind, label=step.label, reason=why)
        context.progress.finish(step.key, f"[red]failed[/red] {step.label}: {escape(why)}")

    by_training, capacity = evaluations_by_training(trains, evaluations), capacity_for(context, trains, evaluations)
    with EvaluatorPool(context, bool(capacity.reserved), on_failure) as evaluators:

        def on_trained(step: Step) -> list[Gang]:
            return [gang for each in by_training[step.key] for gang in evaluators.submit(each)]

        evaluation_gangs = [gang for step in by_training[""] for gang in evaluators.submit(step)]
        gangs = [*Trainer(context, on_trained, on_failure).plan_gangs(trains, capacity), *evaluation_gangs]
        schedule_gangs(gangs, capacity, lambda running: context.request_resources([*running, *capacity.reserved]))
        context.request_resources([])
        evaluators.finish()
    return failures


def capacity_for(context: RunContext, trains: tuple[Step, ...], evaluations: tuple[Step, ...]) -> FreeCapacity:
    """The cluster, beside an examiner that stays throughout if there is room for it beside the largest training."""
    if not evaluations:
        return FreeCapacity(ClusterCapacity(context.cluster))
    requests = [training_request(context.study, step.params) for step in trains if isinstance(step.params, TrainParams)]
    return capacity_beside_evaluator(
        evaluator_request(context.study, evaluations), requests, ClusterCapacity(context.cluster)
    )
