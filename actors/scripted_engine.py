"""The scripted engine: deterministic text without a model, with scripted latency and faults.

It drives tests, simulations of scale and fault injection through the same path as the real engines.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random

from actors.engine import (
    EngineSpec,
    FinishReason,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
)
from actors.options import take_options

_REWRITING = ("instruction rewriter", "instruction creator", "rewrite", "new instruction")
_WORDS = (
    "every answer must list exactly two short reasons and one clear example about water stone light river garden "
    "market winter music number letter with care before noon in simple order under strict limits for young readers"
)


class ScriptedEngine:
    """Replies are a pure function of model, messages, sampling and seed; a token is a word.

    Options: `latency` mean seconds of a request, log-normal with `latency_sigma`; a request that contains the text
    `poison` kills the process; one that contains `refuse` raises RequestError; `style` is `answer` (rewriting prompts
    get a longer instruction, all others an answer) or `echo` (the last message comes back).
    """

    def __init__(self, spec: EngineSpec) -> None:
        options = take_options(spec, latency=0.0, latency_sigma=0.0, poison="", refuse="", style="answer")
        self._model, self._max_length = spec.model, spec.max_length
        self._latency, self._sigma = float(options["latency"]), float(options["latency_sigma"])
        self._poison, self._refuse = str(options["poison"]), str(options["refuse"])
        self._style = str(options["style"])
        if self._style not in ("answer", "echo"):
            raise ValueError(f"scripted style {self._style!r}: one of answer, echo")

    async def generate(self, request: GenerateRequest) -> Generation:
        """A scripted reply. RequestError for a refused or over-long prompt."""
        prompt = "\n".join(content for _, content in request.messages)
        tokens_in = len(prompt.split())
        room = self._room(prompt, tokens_in)
        sampled = (request.sampling, request.seed) if request.sampling.temperature > 0 else ()
        draw = self._draw("generate", request.messages, *sampled)
        await self._wait(self._draw("wait", request.messages, *sampled))
        words = (prompt if self._style == "echo" else reply(request.messages[-1][1], draw)).split()
        kept = words[: min(request.sampling.max_tokens, room)]
        reason: FinishReason = "stop" if len(kept) == len(words) else "length"
        return Generation(request.id, " ".join(kept), reason, tokens_in, len(kept))

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Scripted log-probabilities, one per word; a word after a context is a little likelier than without."""
        words = (request.context + request.text).split()
        self._room(request.context + request.text, len(words) - 1)
        boundary = len(request.context.split())
        await self._wait(self._draw("wait", request.context, request.text))
        scale = 0.8 if boundary else 1.0
        scored = [-scale * self._draw("logprobs", i, word).uniform(0.5, 3.0) for i, word in enumerate(words[1:])]
        return TokenLogprobs(request.id, boundary, (None, *scored) if words else ())

    def close(self) -> None:
        """Nothing is held."""

    def _room(self, text: str, tokens: int) -> int:
        """Tokens that fit after `tokens`; injected faults strike here."""
        if self._poison and self._poison in text:
            os._exit(1)
        if self._refuse and self._refuse in text:
            raise RequestError("refused", f"the text contains {self._refuse!r}")
        if tokens >= self._max_length:
            raise RequestError("too_long", f"the prompt has {tokens} tokens, the model takes {self._max_length}")
        return self._max_length - tokens

    def _draw(self, *identity: object) -> random.Random:
        digest = hashlib.sha256(repr((self._model, *identity)).encode()).digest()
        return random.Random(digest)

    async def _wait(self, draw: random.Random) -> None:
        if self._latency > 0:
            mu = math.log(self._latency) - self._sigma**2 / 2  # so that the mean is `latency` whatever sigma
            await asyncio.sleep(draw.lognormvariate(mu, self._sigma))


def reply(message: str, draw: random.Random) -> str:
    """A longer instruction for a rewriting prompt, else an answer."""
    head, _, instruction = message.rpartition("Instruction:")
    if any(phrase in head.lower() for phrase in _REWRITING):
        return f"{instruction.strip()} Also, {_phrase(draw, 10, 20)}."
    return f"{_phrase(draw, 5, 40).capitalize()}."


def _phrase(draw: random.Random, least: int, most: int) -> str:
    return " ".join(draw.choices(_WORDS.split(), k=draw.randint(least, most)))
