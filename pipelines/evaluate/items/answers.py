"""Asks a model the items of a benchmark, turn by turn, and converts its answers to rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import Client, GenerateRequest, RequestError, Sampling
from pipelines.evaluate.items.item import Grade, Item, Turns
from pipelines.rows.ids import request_seed, row_id
from pipelines.rows.replies import ask
from pipelines.rows.types import AnswerRow, Rejection

AnswerOrRejection = AnswerRow | Rejection


async def ask_all(client: Client, items: Sequence[Item], max_tokens: int, step_key: str) -> list[AnswerOrRejection]:
    """Ask a model all items concurrently, and return its answers in the order of the items.

    The ids of the rows are derived from the items' ids and `step_key`.
    """
    return list(
        await asyncio.gather(*(ask_item(client, item, n, max_tokens, step_key) for n, item in enumerate(items)))
    )


async def ask_item(client: Client, item: Item, index: int, max_tokens: int, step_key: str) -> AnswerOrRejection:
    """Ask a model one item. If the engine cannot answer it, return a failed row, which never counts as wrong."""
    answer_id = row_id(item.id, step_key)
    sampling = Sampling(temperature=item.temperature, max_tokens=max_tokens)
    messages, answers, thoughts, finish_reason = item.messages, list[str](), list[str](), "stop"
    try:
        for turn, following in enumerate((*item.follow_up_turns, None)):
            request = GenerateRequest(f"{answer_id}-{turn}", messages, sampling, request_seed(answer_id) + turn)
            said = await ask(client, request)
            answers.append(said.text)
            thoughts.append(said.thoughts)
            finish_reason = "length" if "length" in (finish_reason, said.finish_reason) else "stop"
            if following is not None:
                messages = (*messages, ("assistant", said.text), ("user", following))
    except RequestError as why:
        return failed_row(answer_id, index, why)
    return replace(answer_row(answer_id, item, index, messages, answers, finish_reason), thoughts=thoughts)


def failed_row(answer_id: str, index: int, why: RequestError) -> Rejection:
    """Return the row of an item that the engine could not answer."""
    return Rejection(answer_id, "", answer_id, index, "failed", why.reason, why.detail, "")


def answer_row(
    answer_id: str, item: Item, index: int, messages: Turns, answers: list[str], finish_reason: str
) -> AnswerRow:
    """Return the row of an answer that is not graded yet."""
    return AnswerRow(
        id=answer_id,
        parent_id="",
        seed_id=answer_id,
        index=index,
        task=item.kind,
        level=item.level,
        instruction=messages[-1][1],
        reference=item.reference,
        response=answers[-1],
        correct=False,
        item=item.id,
        messages=json.dumps(messages, ensure_ascii=False),
        answers=answers,
        finish_reason=finish_reason,
    )


def with_grade(row: AnswerRow, grade: Grade) -> AnswerRow:
    """Return a copy of the row with a grade."""
    return replace(
        row,
        correct=grade.correct,
        measures=list(grade.measures),
        values=[value for value, _ in grade.measures.values()],
        weights=[weight for _, weight in grade.measures.values()],
        words=list(grade.words),
    )
