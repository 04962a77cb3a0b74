"""Encodes prompts and decodes replies for engines that work on token ids, within the model's length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.engine import Generation, LoadError, LogprobRequest, RequestError
from actors.inference.chat_template import Message, encode_chat, end_of_turn, starts_in_thoughts
from actors.inference.decoding.sampled_tokens import SampledTokens
from actors.inference.scored_texts import ScoredText, count_tokens, to_scored_texts, truncate_texts
from prompts.thoughts import HARMONY_TOKENS, TAGS, reply_start, split_thoughts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextEncoder:
    """Encodes and decodes texts for one model.

    `max_length` limits the tokens of prompt and reply together; `stops` are the ids that end a reply, those that the
    model's folder names (`folder_stops`) among them. `pad` is an id for padding.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        folder_stops: frozenset[int] = frozenset(),
        pad: int = 0,
    ) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        self.stops = _stop_tokens(tokenizer, folder_stops)
        self._opened = bool(tokenizer.chat_template) and starts_in_thoughts(tokenizer)
        self._skipped = _skipped_tokens(tokenizer)
        self._known = len(tokenizer)  # embeddings may be padded
        self.pad = pad

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
        if request.truncate:
            scored = truncate_texts(scored, self._max_length)
        longest = max(len(scored_text.ids) for scored_text in scored)
        if longest > self._max_length:
            raise RequestError("too_long", f"the text has {longest} tokens, the model takes {self._max_length}")
        return scored

    def counts(self, request: LogprobRequest) -> tuple[int, ...]:
        """Return the numbers of tokens of the texts that the request asks to count."""
        return count_tokens(self._tokenizer, request.counted)

    def to_generation(self, request_id: str, tokens_in: int, sampled: SampledTokens) -> Generation:
        """Return the reply that consists of the sampled tokens, without the thoughts at its start."""
        output = self._decode(sampled.tokens)
        thoughts, text, unfinished = split_thoughts(output, self._opened)
        reason = "stop" if sampled.stopped and not unfinished else "length"
        logprobs, start = sampled.logprobs, 0
        if text != output:
            start = self._tokens_before(sampled.tokens, reply_start(output, self._opened))
        if logprobs is not None:
            logprobs = logprobs[start:]
        first = () if unfinished else next(iter(sampled.alternatives[start:]), ())
        alternatives = tuple(
            (str(self._tokenizer.decode([token])), value) for token, value in first if token < self._known
        )
        return Generation(request_id, text, reason, tokens_in, len(sampled.tokens), logprobs, thoughts, alternatives)

    def _decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens without special tokens, except those that mark thoughts."""
        kept = [token for token in tokens if token < self._known and token not in self._skipped]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))

    def _tokens_before(self, tokens: Sequence[int], index: int) -> int:
        """Return the number of tokens before the one that has the character `index` of their text."""
        return bisect_right(range(len(tokens)), index, key=lambda count: len(self._decode(tokens[: count + 1])))


def _skipped_tokens(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids that are left out of a reply's text: special tokens other than the marks of thoughts."""
    added = {token: entry for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    special = {token: entry.content for token, entry in added.items()}
    marks = {*TAGS, *TAGS.values()}
    if {"<|channel|>", "<|message|>"} <= {*special.values()}:
        marks |= {*HARMONY_TOKENS}
    kept = {token for token, content in special.items() if content.lower() in marks}
    return frozenset({*special, *tokenizer.all_special_ids} - kept)


def _stop_tokens(tokenizer: PreTrainedTokenizerBase, folder_stops: frozenset[int]) -> frozenset[int]:
    """Return the EOS of the tokenizer, the EOS of the model, and the template's end of turn."""
    try:
        template = {end_of_turn(tokenizer)} if tokenizer.chat_template else set[int]()
    except LoadError:  # replies then end at their maximum length
        template = set[int]()
    own = {tokenizer.eos_token_id} if isinstance(tokenizer.eos_token_id, int) else set[int]()
    return folder_stops | own | template
