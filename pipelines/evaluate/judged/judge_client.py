"""Asks a judge model about one answer, with greedy decoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import prompts
from actors.engine import TOP_LOGPROBS, Client, GenerateRequest, Generation, Sampling
from pipelines.evaluate.items.item import Grade, Turns
from pipelines.rows.replies import ask
from prompts import STANDARD_CATALOG, Catalog, Reply


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
    catalog: Catalog = STANDARD_CATALOG
    raw: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])

    async def ask_verdict(self, prompt: str, **values: str) -> Reply:
        """Fill in a prompt, ask the judge, and return the reply as parsed by the prompt's parser.

        Raises:
            RequestError: The judge's engine rejects the request.
        """
        template = self.catalog.get(prompt)
        return prompts.parse(template.parser, await self.ask(template.turns(**values)))

    async def ask(self, messages: Turns) -> str:
        """Return the judge's reply to a conversation, without its thoughts.

        Raises:
            RequestError: The judge's engine rejects the request.
        """
        return (await self._ask(messages, self.max_tokens)).text

    async def probability(self, messages: Turns, label: str, other: str) -> float | None:
        """Return the probability that the reply's first token is `label`, given that it is `label` or `other`.

        Only the most likely tokens are known, so a label that is not among them counts as impossible. Without both, the
        result is None. (AlpacaEval's `logprob_parser`.) A judge that thinks first is asked again with `max_tokens`.

        Raises:
            RequestError: The judge's engine rejects a request.
        """
        said = await self._ask(messages, 1, TOP_LOGPROBS)
        if said.finish_reason == "length" and not said.text and self.max_tokens > 1:
            said = await self._ask(messages, self.max_tokens, TOP_LOGPROBS)
        one, two = (
            math.fsum(math.exp(value) for token, value in said.alternatives if token == text) for text in (label, other)
        )
        return one / (one + two) if one + two > 0 else None

    async def _ask(self, messages: Turns, max_tokens: int, top_logprobs: int = 0) -> Generation:
        number = len(self.raw)
        self.raw.append("")
        self.thoughts.append("")
        sampling = Sampling(max_tokens=max_tokens)
        said = await ask(
            self.client, GenerateRequest(f"{self.id}-{number}", messages, sampling, top_logprobs=top_logprobs)
        )
        self.raw[number], self.thoughts[number] = said.text, said.thoughts
        return said
