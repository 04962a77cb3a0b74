"""What an engine does not override, it refuses."""

from __future__ import annotations

from typing import NoReturn

from actors.engine import (
    Classification,
    ClassifyRequest,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
)


class Refusing:
    """Every request raises RequestError("unsupported"): engines inherit from it and override what they can."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """No reply."""
        _refuse("generates no text")

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """No log-probabilities."""
        _refuse("gives no log-probabilities of text")

    async def classify(self, request: ClassifyRequest) -> Classification:
        """No logits."""
        _refuse("is no classifier; a reward or NLI model runs with 'engine: classifier'")


def _refuse(detail: str) -> NoReturn:
    raise RequestError("unsupported", f"this engine {detail}")
