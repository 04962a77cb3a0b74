"""Base class of engines: rejects the kinds of request that an engine does not implement, and uses no CPU."""

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
    """Raises RequestError("unsupported") for every request. Engines override the methods that they support."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """Raise RequestError("unsupported")."""
        _raise_unsupported("does not generate text")

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Raise RequestError("unsupported")."""
        _raise_unsupported("does not score text")

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Raise RequestError("unsupported")."""
        _raise_unsupported("does not classify text; use 'engine: classifier' for a reward or NLI model")

    def cpu_seconds(self) -> float:
        """Return 0. Engines that compute override it."""
        return 0.0


def _raise_unsupported(detail: str) -> NoReturn:
    raise RequestError("unsupported", f"this engine {detail}")
