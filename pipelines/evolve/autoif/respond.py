"""Step 6: several responses to an instruction and a query, each with the share of functions that it passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import prompts
from pipelines.evolve.autoif.asking import Asker, Draw
from pipelines.evolve.autoif.crosscheck import Function
from pipelines.evolve.autoif.reading import Reading, accepted, is_text, rejected
from pipelines.evolve.autoif.verdicts import Runner, pass_rates

RESPONSES = 8
PROMPT = "autoif_answer"


@dataclass(frozen=True)
class Response:
    """A response and its pass rate: the share of the instruction's functions that say True of it."""

    text: str
    pass_rate: float
    draw: Draw[str]


@dataclass(frozen=True)
class Respond:
    """Draws `count` responses (2406.13542: 8) and has all functions check them. A truncated one is kept and marked.

    What is no text at all is left out. SandboxError if the sandbox itself failed.
    """

    ask: Asker
    runner: Runner
    count: int = RESPONSES

    async def __call__(
        self, instruction: str, query: str, functions: Sequence[Function], identity: str
    ) -> tuple[Response, ...]:
        prompt = prompts.get(PROMPT).render(instruction=instruction, query=query)
        draws = await self.ask(prompt, lambda said: parse_response(said.text), identity, PROMPT, self.count)
        texts = [(draw.value, draw) for draw in draws if draw.value is not None]
        sources = [function.source for function in functions]
        rates = await pass_rates(self.runner, identity, sources, [text for text, _ in texts])
        return tuple(Response(text, rate, draw) for (text, draw), rate in zip(texts, rates, strict=True))


def parse_response(text: str) -> Reading[str]:
    """A response as `prompts.parse` reads answers; rejected also if it has half a surrogate pair (`not_text`)."""
    reply = prompts.parse("answer", text)
    if reply.value is None:
        return rejected(reply.outcome.removeprefix("rejected:"))
    return accepted(reply.value) if is_text(reply.value) else rejected("not_text")
