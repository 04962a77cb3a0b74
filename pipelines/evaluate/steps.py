"""One evaluate step: a model is asked the tasks of a benchmark."""

from __future__ import annotations

import asyncio

from actors.engine import Client
from pipelines.context import Context
from pipelines.evaluate import world
from pipelines.rows import AnswerRow, Rejection
from pipelines.study.steps import EvaluateJob, Step


def evaluate(context: Context, step: Step, client: Client) -> tuple[list[AnswerRow], list[Rejection]]:
    """Ask all tasks of the step's benchmark. What the engine could not answer is a failed row, never a wrong answer."""
    job = step.job
    assert isinstance(job, EvaluateJob)
    return asyncio.run(world.evaluate(client, job.benchmark, context.study.seed, step.key))
