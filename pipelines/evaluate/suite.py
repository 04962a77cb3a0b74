"""Runs an evaluate step: a model answers the items of a benchmark, and answers that need no judge are graded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.evaluate.graders import code, world
from pipelines.evaluate.items import hub
from pipelines.evaluate.items.answers import AnswerOrRejection, ask_all, with_grade
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.registry import CODE, GRADED, asked_benchmark
from pipelines.rows.text import with_system
from pipelines.rows.types import AnswerRow, Rejection
from pipelines.study.spec.evaluation.benchmarks import Benchmark

Answers = tuple[list[AnswerRow], list[Rejection]]


async def answer_benchmark(
    client: Client, bench: Benchmark, folder: Path, seed: int, step_key: str, sandbox: code.Checker | None = None
) -> Answers:
    """Have a model answer a benchmark that lm-eval does not handle, and grade the answers unless a judge does.

    Args:
        client: The client of the model.
        bench: The benchmark.
        folder: The study file's folder.
        seed: The study's seed, which determines the tasks of the bundled world.
        step_key: The key of the step, from which the rows' ids are derived.
        sandbox: Runs the answers of code benchmarks.

    Returns:
        The answers, and the rows of items that the engine could not answer, both in the order of the items.

    Raises:
        InputError: The items cannot be read or downloaded.
        SandboxError: The sandbox itself failed.
    """
    asked = [
        replace(item, messages=with_system(item.messages, bench.system_text))
        for item in load_items(bench, folder, seed)
    ]
    answers = await ask_all(client, asked, bench.answer_tokens, step_key)
    graded_rows = await asyncio.gather(
        *(_with_its_grade(bench, *pair, sandbox) for pair in zip(asked, answers, strict=True))
    )
    return [row for row in graded_rows if isinstance(row, AnswerRow)], [
        row for row in graded_rows if isinstance(row, Rejection)
    ]


async def _with_its_grade(
    bench: Benchmark, item: Item, row: AnswerOrRejection, sandbox: code.Checker | None
) -> AnswerOrRejection:
    if isinstance(row, Rejection) or bench.traits.judging:
        return row
    return with_grade(row, await grade_answer(bench, item, row, sandbox))


async def grade_answer(bench: Benchmark, item: Item, row: AnswerRow, sandbox: code.Checker | None = None) -> Grade:
    """Return the grade of an answer to a benchmark without a judge.

    Raises:
        SandboxError: The sandbox itself failed.
    """
    if bench.traits.runs_code:
        assert sandbox is not None
        return await code.run_check(bench, item, CODE[bench.kind].check(bench, item, row.response), sandbox)
    return (world if bench.world else GRADED[bench.kind]).grade(bench, item, row)


def load_items(bench: Benchmark, folder: Path, seed: int) -> Sequence[Item]:
    """Return the items of a benchmark that lm-eval does not handle. `folder` is the study file's folder.

    Raises:
        InputError: The items cannot be read or downloaded, there are none, or two have the same id.
    """
    if bench.world:
        return world.items(bench.world, seed)
    path = folder / bench.file if bench.file else hub.download(bench)
    found = asked_benchmark(bench).items(bench, path)
    if duplicates := [item_id for item_id, count in Counter(item.id for item in found).items() if count > 1]:
        raise InputError(f"duplicate item id '{duplicates[0]}'", file=str(path), remedy="Remove one of the items.")
    if not found:
        raise InputError("no items found", file=str(path), remedy="Check that it is the benchmark's data.")
    return found
