"""Commits the steps of a stream, except for those of which a probe has left out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.stream.commits.common_failures import CommonFailures
from pipelines.execution.stream.commits.probe import probed_steps, save_probes
from pipelines.store.shards import write_shards
from pipelines.study.graph.steps.step import Step


def finish_steps(context: RunContext, steps: Sequence[Step], seconds: Mapping[str, float]) -> None:
    """Commit the steps of a stream, which took these seconds by key; save what a probe has made of them instead.

    Raises:
        StepFailed: Most rows of a step have failed alike. All others are finished first.
    """
    probed = probed_steps(context, steps)
    commit_all(context, [step for step in steps if step not in probed], seconds)
    save_probes(context, probed)


def commit_all(context: RunContext, steps: Sequence[Step], seconds: Mapping[str, float]) -> None:
    """Commit the complete steps of a stream, which took these seconds by key.

    Raises:
        StepFailed: Most rows of a step have failed alike. It and the steps made from it stay unfinished, without their
            failed rows, so that the next run asks for them again. All others are committed first.
    """
    failures = CommonFailures(context.store)
    for step in steps:
        if failures.follows(step):
            continue
        rows_in = context.row_counts.of(step.inputs[0]) * step.params.rows_per_input
        shards, account = write_shards(context.store, step.kind, step.key, rows_in)
        if not failures.has(step, account):
            context.progress.finish_step(commit_step(context.store, step, account, shards, seconds[step.key]))
    failures.raise_first()
