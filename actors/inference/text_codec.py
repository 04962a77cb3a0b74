"""Encodes prompts and decodes replies for engines that work on token ids, within the model's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.engine import Generation, LogprobRequest, RequestError
from actors.inference.chat_template import Message, encode_chat, end_of_turn
from actors.inference.scored_texts import ScoredText, to_scored_texts

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """New tokens without the stop token, whether there was one, and the tokens' log-probabilities if requested."""

    tokens: list[int]
    stopped: bool
    logprobs: tuple[float, ...] | None = None


class TextEncoder:
    """Encodes and decodes texts for one model.

    `max_length` limits the tokens of prompt and reply together; `stops` are the ids that end a reply.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, defaults: GenerationConfig | None = None
    ) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        self.stops = _stop_tokens(tokenizer, defaults)
        self.pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0

    def encode_prompt(self, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], int]:
        """Return the prompt's ids and how many tokens may follow: `max_tokens`, or fewer after a long prompt.

        Raises:
            RequestError: "too_long", if no token may follow; and errors of `encode_chat`.
        """
        ids = encode_chat(self._tokenizer, messages, add_generation_prompt=True)
        remaining = self._max_length - len(ids)
        if remaining < 1:
            raise RequestError("too_long", f"the prompt has {len(ids)} tokens, the model takes {self._max_length}")
        return ids, min(max_tokens, remaining)

    def scored_texts(self, request: LogprobRequest) -> list[ScoredText]:
        """Return the encoded texts that the request asks to score.

        Raises:
            RequestError: "too_long", if a text is longer than the model accepts; and errors of `to_scored_texts`.
        """
        scored = to_scored_texts(self._tokenizer, request)
        longest = max(len(scored_text.ids) for scored_text in scored)
        if longest > self._max_length:
            raise RequestError("too_long", f"the text has {longest} tokens, the model takes {self._max_length}")
        return scored

    def to_generation(self, request_id: str, tokens_in: int, sampled: SampledTokens) -> Generation:
        """Return the reply that consists of the sampled tokens."""
        text = str(self._tokenizer.decode(sampled.tokens, skip_special_tokens=True))
        reason = "stop" if sampled.stopped else "length"
        return Generation(request_id, text, reason, tokens_in, len(sampled.tokens), sampled.logprobs)


def truncate_at_stop(
    tokens: Sequence[int], stops: frozenset[int], logprobs: Sequence[float] | None = None
) -> SampledTokens:
    """Return the tokens (and their log-probabilities) before the first stop token."""
    end = next((i for i, token in enumerate(tokens) if token in stops), len(tokens))
    return SampledTokens(list(tokens[:end]), end < len(tokens), None if logprobs is None else tuple(logprobs[:end]))


def _stop_tokens(tokenizer: PreTrainedTokenizerBase, defaults: GenerationConfig | None) -> frozenset[int]:
    """Return the EOS of the tokenizer, the EOS of the model, and the template's end of turn."""
    named = defaults.eos_token_id if defaults else None
    candidates: list[object] = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    if tokenizer.chat_template:
        candidates.append(end_of_turn(tokenizer))
    return frozenset(token for token in candidates if isinstance(token, int))
