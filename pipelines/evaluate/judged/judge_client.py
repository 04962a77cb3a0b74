"""How a judge is asked: greedily, about one answer at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import prompts
from actors.engine import Client, GenerateRequest, LogprobRequest, Sampling
from pipelines.evaluate.items.item import Grade, Turns
from prompts import Reply


@dataclass(frozen=True)
class Judgement:
    """An answer's grade by a judge, and what the judge replied. `other` is the answer that it was compared with."""

    grade: Grade
    raw: tuple[str, ...] = ()
    other: str = ""


@dataclass(frozen=True)
class JudgeCase:
    """What a judge is shown: the question and the answers of all turns; the benchmark's own row."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    level: int = 0
    kind: str = ""
    other: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class JudgeClient:
    """Asks a judge model about one answer; `id` is that of the row that is made, `raw` collects the replies."""

    client: Client
    id: str
    max_tokens: int
    raw: list[str] = field(default_factory=list[str])

    async def ask_verdict(self, prompt: str, **values: str) -> Reply:
        """The judge's verdict by the prompt's parser. RequestError of the engine."""
        template = prompts.get(prompt)
        return prompts.parse(template.parser, await self.ask(template.turns(**values)))

    async def ask(self, messages: Turns) -> str:
        """The judge's reply to a conversation."""
        number = len(self.raw)
        self.raw.append("")
        request = GenerateRequest(f"{self.id}-{number}", messages, Sampling(max_tokens=self.max_tokens))
        self.raw[number] = (await self.client.generate(request)).text
        return self.raw[number]

    async def probability(self, messages: Turns, label: str, other: str) -> float:
        """The probability of a label against another one as the whole reply, of these two only."""
        context = "\n\n".join(text for _, text in messages)
        asked = [LogprobRequest(f"{self.id}-{text}", context, text, chat=True) for text in (label, other)]
        one, two = [await self.client.logprobs(request) for request in asked]
        return 1 / (
            1 + math.exp(_sum_logprobs(two.logprobs[two.boundary :]) - _sum_logprobs(one.logprobs[one.boundary :]))
        )


def _sum_logprobs(logprobs: tuple[float | None, ...]) -> float:
    return math.fsum(value for value in logprobs if value is not None)
