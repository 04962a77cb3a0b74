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

Asked = AnswerRow | Rejection


async def ask_all(client: Client, items: Sequence[Item], max_tokens: int, key: str) -> list[Asked]:
    """The answers to all items, asked at once and in their order; ids are made of the items' and the step's `key`."""
    return list(await asyncio.gather(*(ask(client, item, n, max_tokens, key) for n, item in enumerate(items))))


async def ask(client: Client, item: Item, index: int, max_tokens: int, key: str) -> Asked:
    """The answer to one item. One that the engine could not give is a failed row, and never a wrong answer."""
    made = row_id(item.id, key)
    sampling = Sampling(temperature=item.temperature, max_tokens=max_tokens)
    messages, answers, ended = item.messages, list[str](), "stop"
    try:
        for turn, following in enumerate((*item.later, None)):
            request = GenerateRequest(f"{made}-{turn}", messages, sampling, request_seed(made) + turn)
            said = await client.generate(request)
            answers.append(said.text)
            ended = "length" if "length" in (ended, said.finish_reason) else "stop"
            if following is not None:
                messages = (*messages, ("assistant", said.text), ("user", following))
    except RequestError as why:
        return failed(made, index, why)
    return answer_row(made, item, index, messages, answers, ended)


def failed(made: str, index: int, why: RequestError) -> Rejection:
    """The row of an item that could not be answered."""
    return Rejection(made, "", made, index, "failed", why.reason, why.detail, "")


def answer_row(made: str, item: Item, index: int, messages: Turns, answers: list[str], ended: str) -> AnswerRow:
    """An answer that is not graded yet."""
    return AnswerRow(
        id=made,
        parent_id="",
        seed_id=made,
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
        finish_reason=ended,
    )


def graded(row: AnswerRow, grade: Grade) -> AnswerRow:
    """The row with its grade."""
    return replace(
        row,
        correct=grade.correct,
        measures=list(grade.measures),
        values=[value for value, _ in grade.measures.values()],
        weights=[weight for _, weight in grade.measures.values()],
        words=list(grade.words),
    )
