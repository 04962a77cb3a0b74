"""One evaluate step: a model is asked the items of a benchmark, and its answers are graded where no judge is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.engine import Client
from pipelines.boxes import sandboxes
from pipelines.context import Context
from pipelines.errors import InputError
from pipelines.evaluate import code, hub, opencompass, world
from pipelines.evaluate.asking import Asked, ask_all, graded
from pipelines.evaluate.items import Item
from pipelines.evaluate.judged import followbench, questions
from pipelines.remembering import Remembering, remembered
from pipelines.rows import AnswerRow, Rejection
from pipelines.store.store import Store
from pipelines.study.benchmarks import CODE, JUDGED, Benchmark
from pipelines.study.steps import EvaluateJob, Step

RETRIES = 2  # of lm-eval's process, should its machine kill it
Answers = tuple[list[AnswerRow], list[Rejection]]


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

    from pipelines.failures import innermost

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task: Any = ray.remote(keeping)
    task = task.options(num_cpus=0, max_retries=RETRIES, scheduling_strategy=here)
    try:
        return ray.get(task.remote(client, _bench(step), folder, store, step.kind, step.key))
    except RayTaskError as error:
        raise innermost(error) from None


def keeping(client: Client, bench: Benchmark, folder: Path, store: Store, kind: str, key: str) -> Answers:
    """As `harness.run`, with answers kept for the step."""
    from pipelines.evaluate.harness import run

    with remembered(store, kind, key):
        return run(Remembering(client, kind, key), bench, folder, key)


async def answer(
    client: Client, bench: Benchmark, folder: Path, seed: int, key: str, sandbox: code.Checker | None = None
) -> Answers:
    """Answers to a benchmark that lm-eval is not needed for, graded unless a judge does it. `folder` is the study's."""
    asked = items(bench, folder, seed)
    answers = await ask_all(client, asked, bench.answer_tokens, key)
    made = await asyncio.gather(*(_graded(bench, *pair, sandbox) for pair in zip(asked, answers, strict=True)))
    return [row for row in made if isinstance(row, AnswerRow)], [row for row in made if isinstance(row, Rejection)]


async def _graded(bench: Benchmark, item: Item, row: Asked, sandbox: code.Checker | None) -> Asked:
    if isinstance(row, Rejection) or bench.kind in JUDGED:
        return row
    if bench.kind in CODE:
        assert sandbox is not None
        return graded(row, await code.grade(bench, item, row, sandbox))
    return graded(row, (world if bench.world else opencompass).grade(bench, item, row))


def items(bench: Benchmark, folder: Path, seed: int) -> Sequence[Item]:
    """The items of a benchmark that lm-eval is not needed for. InputError if an id is there twice."""
    if bench.world:
        return world.items(bench.world, seed)
    path = folder / bench.file if bench.file else hub.fetched(bench)
    made = {
        **dict.fromkeys(CODE, code),
        "followbench": followbench,
        **dict.fromkeys(JUDGED - {"followbench"}, questions),
    }
    found = made.get(bench.kind, opencompass).items(bench, path)
    if len({item.id for item in found}) < len(found):
        raise InputError("two items have the same id", file=str(path))
    if not found:
        raise InputError("holds no items", file=str(path))
    return found
