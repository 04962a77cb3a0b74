"""A model answers an item, turn by turn, and its answer becomes a row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import Client, GenerateRequest, RequestError, Sampling
from pipelines.evaluate.items.item import Grade, Item, Turns
from pipelines.rows.ids import request_seed, row_id
from pipelines.rows.types import AnswerRow, Rejection

AnswerOrRejection = AnswerRow | Rejection


async def ask_all(client: Client, items: Sequence[Item], max_tokens: int, step_key: str) -> list[AnswerOrRejection]:
    """The answers to all items, asked at once and in their order; ids are made of the items' and the step's
    `step_key`."""
    return list(
        await asyncio.gather(*(ask_item(client, item, n, max_tokens, step_key) for n, item in enumerate(items)))
    )


async def ask_item(client: Client, item: Item, index: int, max_tokens: int, step_key: str) -> AnswerOrRejection:
    """The answer to one item. One that the engine could not give is a failed row, and never a wrong answer."""
    answer_id = row_id(item.id, step_key)
    sampling = Sampling(temperature=item.temperature, max_tokens=max_tokens)
    messages, answers, finish_reason = item.messages, list[str](), "stop"
    try:
        for turn, following in enumerate((*item.follow_up_turns, None)):
            request = GenerateRequest(f"{answer_id}-{turn}", messages, sampling, request_seed(answer_id) + turn)
            said = await client.generate(request)
            answers.append(said.text)
            finish_reason = "length" if "length" in (finish_reason, said.finish_reason) else "stop"
            if following is not None:
                messages = (*messages, ("assistant", said.text), ("user", following))
    except RequestError as why:
        return failed_row(answer_id, index, why)
    return answer_row(answer_id, item, index, messages, answers, finish_reason)


def failed_row(answer_id: str, index: int, why: RequestError) -> Rejection:
    """The row of an item that could not be answered."""
    return Rejection(answer_id, "", answer_id, index, "failed", why.reason, why.detail, "")


def answer_row(
    answer_id: str, item: Item, index: int, messages: Turns, answers: list[str], finish_reason: str
) -> AnswerRow:
    """An answer that is not graded yet."""
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
    """The row with its grade."""
    return replace(
        row,
        correct=grade.correct,
        measures=list(grade.measures),
        values=[value for value, _ in grade.measures.values()],
        weights=[weight for _, weight in grade.measures.values()],
        words=list(grade.words),
    )
