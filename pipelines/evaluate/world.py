"""The world's held-out tasks as a benchmark: a student answers each one greedily, and exact answers count."""

from __future__ import annotations

import asyncio

from actors.engine import Client, GenerateRequest, Generation, RequestError, Sampling
from pipelines.rows import AnswerRow, Rejection, row_id
from pipelines.study.spec import Benchmark
from pipelines.world import WorldTask, correct, heldout


async def evaluate(
    client: Client, benchmark: Benchmark, seed: int, key: str
) -> tuple[list[AnswerRow], list[Rejection]]:
    """Ask all tasks. A task that the engine could not answer is a failed row and never a wrong answer."""
    tasks = heldout(benchmark.world.count, seed, tuple(benchmark.world.levels))
    asked = [_ask(client, benchmark, task, index, key) for index, task in enumerate(tasks)]
    answers = await asyncio.gather(*asked)
    rows = [answer for answer in answers if isinstance(answer, AnswerRow)]
    return rows, [answer for answer in answers if isinstance(answer, Rejection)]


async def _ask(client: Client, benchmark: Benchmark, task: WorldTask, index: int, key: str) -> AnswerRow | Rejection:
    made = row_id(str(index), key)
    sampling = Sampling(max_tokens=benchmark.max_tokens)
    try:
        said = await client.generate(GenerateRequest(made, (("user", task.instruction),), sampling))
    except RequestError as why:
        return Rejection(made, "", made, index, "failed", why.reason, why.detail, "")
    return _graded(task, said, made, index)


def _graded(task: WorldTask, said: Generation, made: str, index: int) -> AnswerRow:
    finished = said.finish_reason == "stop"
    return AnswerRow(
        id=made,
        parent_id="",
        seed_id=made,
        index=index,
        task=task.kind,
        level=task.level,
        instruction=task.instruction,
        reference=task.answer,
        response=said.text,
        correct=finished and correct(task.instruction, said.text),
    )
