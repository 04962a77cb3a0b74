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


class UnsupportedEngine:
    """Every request raises RequestError("unsupported"): engines inherit from it and override what they can."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """No reply."""
        _raise_unsupported("generates no text")

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """No log-probabilities."""
        _raise_unsupported("gives no log-probabilities of text")

    async def classify(self, request: ClassifyRequest) -> Classification:
        """No logits."""
        _raise_unsupported("is no classifier; a reward or NLI model runs with 'engine: classifier'")


def _raise_unsupported(detail: str) -> NoReturn:
    raise RequestError("unsupported", f"this engine {detail}")
