"""Reads the log-probabilities of a text from an echoed completion, as vLLM serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from actors.engine import TokenLogprobs
from actors.engines.http.exchange import AnswerFailure
from actors.engines.http.failures import Failure

NO_PROMPT_LOGPROBS = (
    "the server gives no log-probabilities of prompts (route /completions with 'echo' and 'logprobs'), which scores "
    "need: use engine transformers or vllm, or a server that gives them, for this model"
)


def read_echo(request_id: str, before: str, context: str, text: str, answer: Mapping[str, Any]) -> TokenLogprobs:
    """Return the log-probabilities of context and text from an echoed completion, without the generated token.

    The boundary is the number of tokens that start before the end of the context. Tokens that end within `before` are
    not scored. The echo contains a start token that is not in the prompt, which shifts all offsets.

    Raises:
        AnswerFailure: The server gives no log-probabilities of the prompt.
    """
    context = before + context
    entries = _echoed(context + text, answer)
    offsets, tokens, values = entries["text_offset"], entries["tokens"], entries["token_logprobs"]
    first = tokens[0]
    has_start_token = not (context + text).startswith(first)
    total = len(context) + len(text) + len(first) * has_start_token
    usage = answer.get("usage") or {}
    count = usage.get("prompt_tokens") or sum(offset < total for offset in offsets)
    end = len(context) + len(first) * has_start_token
    boundary = sum(offset < end for offset in offsets[:count]) if context else 0
    lengths = (max(0, boundary - has_start_token), count - max(boundary, has_start_token), 0)
    scored = TokenLogprobs(request_id, boundary, (None, *values[1:count]), lengths=lengths)
    if not before:
        return scored
    end_before = len(before) + len(first) * has_start_token
    known = sum(offset <= end_before for offset in offsets[1 : count + 1])
    return scored.without(TokenLogprobs(request_id, known, (), lengths=(max(0, known - has_start_token), 0, 0)))


def _echoed(prompt: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tokens of an echoed prompt and of the generated token, with offsets and log-probabilities."""
    choices = answer.get("choices") or [{}]
    entries = cast("dict[str, Any]", choices[0]).get("logprobs")
    if isinstance(entries, dict):
        found = cast("dict[str, Any]", entries)
        offsets = found.get("text_offset")
        if offsets and found.get("tokens") and found.get("token_logprobs") and offsets[-1] >= len(prompt):
            return found
    raise AnswerFailure(Failure("rejected", "no_logprobs", NO_PROMPT_LOGPROBS))
