"""Samples several replies to the same prompt, and keeps each with its parsed value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from actors.engine import Client, FinishReason, GenerateRequest, Sampling
from pipelines.operators.autoif.reply_parsing import Reader, rejected
from pipelines.rows.ids import request_seed, row_id
from pipelines.rows.replies import UNFINISHED, ask, only_thoughts, raw_reply
from pipelines.rows.text import with_system

T = TypeVar("T")


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One reply: its text, and the parsed value (None if `outcome` is a rejection)."""

    id: str
    raw: str
    value: T | None
    outcome: str
    finish_reason: FinishReason
    tokens_in: int
    tokens_out: int


def samples_json(samples: Sequence[Sample[Any]]) -> str:
    """Return replies and outcomes as JSON, which is stored with a rejection."""
    return json.dumps([{"outcome": draw.outcome, "reply": draw.raw} for draw in samples], ensure_ascii=False)


@dataclass(frozen=True)
class RepeatedSampler:
    """Samples from one model. Request seeds depend only on id, purpose and study seed."""

    client: Client
    sampling: Sampling
    study_seed: int
    system: str = ""

    async def __call__(
        self, prompt: str, read: Reader[T], identity: str, purpose: str, count: int
    ) -> tuple[Sample[T], ...]:
        """Return `count` samples, in order, each with its own id and seed.

        Raises:
            RequestError: The model cannot answer the prompt.
        """
        ids = [row_id(identity, purpose, number) for number in range(count)]
        return tuple(await asyncio.gather(*(self._sample(prompt, read, draw) for draw in ids)))

    async def _sample(self, prompt: str, read: Reader[T], sample_id: str) -> Sample[T]:
        seed = request_seed(sample_id) ^ self.study_seed
        messages = with_system((("user", prompt),), self.system)
        said = await ask(self.client, GenerateRequest(sample_id, messages, self.sampling, seed))
        parsed = rejected(UNFINISHED) if only_thoughts(said) else read(said)
        return Sample(
            sample_id,
            raw_reply(said),
            parsed.value,
            parsed.outcome,
            said.finish_reason,
            said.tokens_in,
            said.tokens_out,
        )
