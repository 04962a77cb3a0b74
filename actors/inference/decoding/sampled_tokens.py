"""The tokens that a model has written in reply to one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """New tokens without the stop token, whether there was one, and the tokens' log-probabilities if requested.

    `alternatives` are the most likely tokens at each position with their log-probabilities, if requested; the position
    of the stop token is among them.
    """

    tokens: list[int]
    stopped: bool
    logprobs: tuple[float, ...] | None = None
    alternatives: Sequence[Sequence[tuple[int, float]]] = ()


def truncate_at_stop(
    tokens: Sequence[int],
    stops: frozenset[int],
    logprobs: Sequence[float] | None = None,
    alternatives: Sequence[Sequence[tuple[int, float]]] = (),
) -> SampledTokens:
    """Return the tokens (and their log-probabilities) before the first stop token."""
    end = next((i for i, token in enumerate(tokens) if token in stops), len(tokens))
    kept = None if logprobs is None else tuple(logprobs[:end])
    return SampledTokens(list(tokens[:end]), end < len(tokens), kept, alternatives)
