"""Text to tokens and back for engines that work on token ids, within the model's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.engine import Generation, LogprobRequest, RequestError
from actors.inference.chat_template import Message, encode_chat, end_of_turn
from actors.inference.scored_texts import Passage, passages

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Drawn:
    """New tokens without the stop token, whether there was one, and the tokens' log-probabilities if asked for."""

    tokens: list[int]
    stopped: bool
    logprobs: tuple[float, ...] | None = None


class TextEncoder:
    """What a model reads and writes as token ids.

    `max_length` bounds prompt and reply together; `stops` are the ids that end a reply.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, defaults: GenerationConfig | None = None
    ) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        self.stops = _stop_tokens(tokenizer, defaults)
        self.pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0

    def prompt(self, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], int]:
        """The prompt's ids and how many tokens may follow: `max_tokens`, or what room the prompt leaves.

        RequestError("too_long") if it leaves none.
        """
        ids = encode_chat(self._tokenizer, messages, add_generation_prompt=True)
        room = self._max_length - len(ids)
        if room < 1:
            raise RequestError("too_long", f"the prompt has {len(ids)} tokens, the model takes {self._max_length}")
        return ids, min(max_tokens, room)

    def passages(self, request: LogprobRequest) -> list[Passage]:
        """What the request wants scored; RequestError("too_long"), and errors as of `scored_texts.passages`."""
        found = passages(self._tokenizer, request)
        longest = max(len(passage.ids) for passage in found)
        if longest > self._max_length:
            raise RequestError("too_long", f"the text has {longest} tokens, the model takes {self._max_length}")
        return found

    def generation(self, request_id: str, tokens_in: int, drawn: Drawn) -> Generation:
        """The reply made of new tokens."""
        text = str(self._tokenizer.decode(drawn.tokens, skip_special_tokens=True))
        reason = "stop" if drawn.stopped else "length"
        return Generation(request_id, text, reason, tokens_in, len(drawn.tokens), drawn.logprobs)


def cut(tokens: Sequence[int], stops: frozenset[int], logprobs: Sequence[float] | None = None) -> Drawn:
    """The tokens (and their log-probabilities) before the first stop token."""
    end = next((i for i, token in enumerate(tokens) if token in stops), len(tokens))
    return Drawn(list(tokens[:end]), end < len(tokens), None if logprobs is None else tuple(logprobs[:end]))


def _stop_tokens(tokenizer: PreTrainedTokenizerBase, defaults: GenerationConfig | None) -> frozenset[int]:
    """The EOS of tokenizer and model, and the template's end of turn."""
    named = defaults.eos_token_id if defaults else None
    candidates: list[object] = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    if tokenizer.chat_template:
        candidates.append(end_of_turn(tokenizer))
    return frozenset(token for token in candidates if isinstance(token, int))
