"""Sandboxes for as long as steps need them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager

from actors.sandbox.pool import SandboxClient, SandboxPool
from actors.sandbox.protocol.job import Level
from pipelines.execution.runtime.context import Context
from pipelines.study.graph.params import CheckJob, EvaluateJob, VerifyJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.benchmarks import CODE

MOST = 16


@contextmanager
def sandboxes(context: Context, steps: Iterable[Step]) -> Generator[Mapping[Level, SandboxClient]]:
    """Sandboxes of every level that these steps run foreign code at, within the block: one for each CPU.

    SandboxError, with what is missing, where a machine can not give the level.
    """
    levels: set[Level] = {level for step in steps if (level := _level(step))}
    size = max(1, min(MOST, int(context.cluster.cpus)))
    with ExitStack() as stack:
        # they ask for no CPU of their own: engines may hold all that there is
        clients: dict[Level, SandboxClient] = {}
        for level in levels:
            clients[level] = stack.enter_context(SandboxPool(size, level, cpus_each=0)).client()
        yield clients


def _level(step: Step) -> Level | None:
    """The level at which a step runs foreign code, if it does."""
    if isinstance(step.job, EvaluateJob):
        return step.job.benchmark.level if step.job.benchmark.kind in CODE else None
    return step.job.level if isinstance(step.job, CheckJob | VerifyJob) else None
