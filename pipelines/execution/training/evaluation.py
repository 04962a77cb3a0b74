"""Evaluates a student on a benchmark. Its answers are journaled, so an interrupted evaluation can be resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from actors.engine import Client
from pipelines.evaluate.suite import Answers, answer_benchmark
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.store.journaled_client import JournaledClient, journaling
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.students import EvaluateParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.evaluation.benchmarks import Benchmark

HARNESS_RETRIES = 2  # of lm-eval's process, if it is killed


def evaluate(context: RunContext, step: Step, client: Client) -> Answers:
    """Answer all items of the step's benchmark. An item that the engine cannot answer is a failed row, never wrong.

    Answers are journaled: a resumed step does not repeat requests that were answered.

    Raises:
        InputError: If the benchmark's data is not available.
        SandboxError: If the sandbox fails.
    """
    bench = _bench(step)
    if bench.harness:
        return _run_harness(context.folder, context.store, step, client)
    journaled, location = JournaledClient(client, step.kind, step.key), (context.folder, context.study.seed, step.key)
    with journaling(context.store, step.kind, step.key):
        if not bench.traits.runs_code:
            return asyncio.run(answer_benchmark(journaled, bench, *location))
        with sandboxes(context.cluster, [step]) as runners:
            return asyncio.run(answer_benchmark(journaled, bench, *location, runners[bench.level]))


def _bench(step: Step) -> Benchmark:
    assert isinstance(step.params, EvaluateParams)
    return step.params.benchmark


def _run_harness(folder: Path, store: Store, step: Step, client: Client) -> Answers:
    """Run lm-eval in a separate process on this node, which has the files."""
    import ray
    from ray.exceptions import RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pipelines.execution.runtime.retry import root_cause

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task: Any = ray.remote(journaled_answers)
    task = task.options(num_cpus=0, max_retries=HARNESS_RETRIES, scheduling_strategy=here)
    try:
        return ray.get(task.remote(client, _bench(step), folder, store, step.kind, step.key))
    except RayTaskError as error:
        raise root_cause(error) from None


def journaled_answers(
    client: Client, bench: Benchmark, folder: Path, store: Store, kind: str, step_key: str
) -> Answers:
    """Return the answers of `run_harness`; replies are journaled for the step."""
    from pipelines.evaluate.harness.run import run_harness

    with journaling(store, kind, step_key):
        return run_harness(JournaledClient(client, kind, step_key), bench, folder, step_key)
