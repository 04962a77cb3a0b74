"""The training phase: students are fine-tuned side by side, and each is evaluated as soon as it is trained."""

from __future__ import annotations

from rich.markup import escape

from cluster.resources.placement import Ground
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.events import event
from pipelines.execution.training.evaluators import Examiners
from pipelines.execution.training.gang_scheduler import Gang, run_gangs
from pipelines.execution.training.trainer import Trainer
from pipelines.planning.requests import Room, examined_after, examiner_request, room_beside, training_request
from pipelines.study.graph.params import TrainJob
from pipelines.study.graph.step import Step


def run_students(context: Context) -> list[str]:
    """Run all unfinished train and evaluate steps of the plan, and commit them.

    A student that can not be trained or examined does not hold back the others: returns one message for each.
    """
    trains, evaluations = context.plan.pending_of("train"), context.plan.pending_of("evaluate")
    if not trains and not evaluations:
        return []
    failures: list[str] = []

    def failed(step: Step, why: str) -> None:
        failures.append(f"{step.label}: {why}")
        event("step failed", step=step.key, kind=step.kind, label=step.label, reason=why)
        context.board.finish(step.key, f"[red]failed[/red] {step.label}: {escape(why)}")

    after, room = examined_after(trains, evaluations), room_for(context, trains, evaluations)
    with Examiners(context, bool(room.kept), failed) as examiners:

        def trained(step: Step) -> list[Gang]:
            return [gang for each in after[step.key] for gang in examiners.submit(each)]

        helps = [gang for step in after[""] for gang in examiners.submit(step)]
        gangs = [*Trainer(context, trained, failed).gangs(trains, room), *helps]
        run_gangs(gangs, room, lambda running: context.ask([*running, *room.kept]))
        context.ask([])
        examiners.finish()
    return failures


def room_for(context: Context, trains: tuple[Step, ...], evaluations: tuple[Step, ...]) -> Room:
    """The cluster, beside an examiner that stays throughout if there is room for it beside the largest training."""
    if not evaluations:
        return Room(Ground(context.cluster))
    asked = [training_request(context.study, step.job) for step in trains if isinstance(step.job, TrainJob)]
    return room_beside(examiner_request(context.study, evaluations), asked, Ground(context.cluster))
