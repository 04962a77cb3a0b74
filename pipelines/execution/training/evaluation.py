"""Runs the evaluation of a student: its answers, kept as they come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from actors.engine import Client
from pipelines.evaluate.suite import Answers, answer
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.store.journaled_client import Remembering, remembered
from pipelines.store.store import Store
from pipelines.study.graph.params import EvaluateJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.benchmarks import CODE, Benchmark

RETRIES = 2  # of lm-eval's process, should its machine kill it


def evaluate(context: Context, step: Step, client: Client) -> Answers:
    """Ask all items of the step's benchmark. What the engine could not answer is a failed row, never a wrong answer.

    Answers are kept as they come: a step that is interrupted asks nothing twice. InputError for data that is not to
    be had, SandboxError where the sandbox fails.
    """
    bench = _bench(step)
    if bench.harness:
        return _by_harness(context.folder, context.store, step, client)
    kept, place = Remembering(client, step.kind, step.key), (context.folder, context.study.seed, step.key)
    with remembered(context.store, step.kind, step.key):
        if bench.kind not in CODE:
            return asyncio.run(answer(kept, bench, *place))
        with sandboxes(context, [step]) as boxes:
            return asyncio.run(answer(kept, bench, *place, boxes[bench.level]))


def _bench(step: Step) -> Benchmark:
    assert isinstance(step.job, EvaluateJob)
    return step.job.benchmark


def _by_harness(folder: Path, store: Store, step: Step, client: Client) -> Answers:
    """lm-eval in a process of its own, on this machine, where the files are."""
    import ray
    from ray.exceptions import RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pipelines.execution.runtime.retry import innermost

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task: Any = ray.remote(keeping)
    task = task.options(num_cpus=0, max_retries=RETRIES, scheduling_strategy=here)
    try:
        return ray.get(task.remote(client, _bench(step), folder, store, step.kind, step.key))
    except RayTaskError as error:
        raise innermost(error) from None


def keeping(client: Client, bench: Benchmark, folder: Path, store: Store, kind: str, key: str) -> Answers:
    """As `harness.run`, with answers kept for the step."""
    from pipelines.evaluate.harness.run import run

    with remembered(store, kind, key):
        return run(Remembering(client, kind, key), bench, folder, key)
