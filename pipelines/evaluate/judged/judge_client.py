"""Asks a judge model about one answer, with greedy decoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import prompts
from actors.engine import Client, GenerateRequest, LogprobRequest, Sampling
from pipelines.evaluate.items.item import Grade, Turns
from pipelines.rows.replies import ask
from prompts import Reply


@dataclass(frozen=True)
class Judgement:
    """A judge's grade of an answer, and its raw replies. `other` is the answer that it was compared with."""

    grade: Grade
    raw: tuple[str, ...] = ()
    other: str = ""


@dataclass(frozen=True)
class JudgeCase:
    """The input of a judge: the questions and answers of all turns, and the row of the benchmark's file (`data`).

    `other` are the answers to compare with, one for each turn.
    """

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    level: int = 0
    kind: str = ""
    other: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class JudgeClient:
    """Asks a judge model about one answer.

    `id` is the id of the new row. `raw` collects the replies, and `thoughts` the judge's thoughts before each.
    """

    client: Client
    id: str
    max_tokens: int
    raw: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])

    async def ask_verdict(self, prompt: str, **values: str) -> Reply:
        """Fill in a prompt, ask the judge, and return the reply as parsed by the prompt's parser.

        Raises:
            RequestError: The judge's engine rejects the request.
        """
        template = prompts.get(prompt)
        return prompts.parse(template.parser, await self.ask(template.turns(**values)))

    async def ask(self, messages: Turns) -> str:
        """Return the judge's reply to a conversation, without its thoughts.

        Raises:
            RequestError: The judge's engine rejects the request.
        """
        number = len(self.raw)
        self.raw.append("")
        self.thoughts.append("")
        request = GenerateRequest(f"{self.id}-{number}", messages, Sampling(max_tokens=self.max_tokens))
        said = await ask(self.client, request)
        self.raw[number], self.thoughts[number] = said.text, said.thoughts
        return said.text

    async def probability(self, messages: Turns, label: str, other: str) -> float:
        """Return the probability that the whole reply is `label`, given that it is `label` or `other`.

        Raises:
            RequestError: The judge's engine rejects a request.
        """
        context = "\n\n".join(text for _, text in messages)
        asked = [LogprobRequest(f"{self.id}-{text}", context, text, chat=True) for text in (label, other)]
        one, two = [await self.client.logprobs(request) for request in asked]
        return 1 / (
            1 + math.exp(_sum_logprobs(two.logprobs[two.boundary :]) - _sum_logprobs(one.logprobs[one.boundary :]))
        )


def _sum_logprobs(logprobs: tuple[float | None, ...]) -> float:
    return math.fsum(value for value in logprobs if value is not None)
