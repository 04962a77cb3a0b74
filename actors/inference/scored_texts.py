"""Encodes texts to be scored as token ids: raw text or chat turns, with or without BOS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.engine import Bos, LogprobRequest, RequestError, TokenLogprobs
from actors.inference.chat_template import Message, encode_chat, encode_example, encode_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class ScoredText:
    """Token ids. The first `boundary` ones are context; `content` is False for BOS and tokens of the template."""

    ids: tuple[int, ...]
    boundary: int
    content: tuple[bool, ...]


def to_scored_texts(tokenizer: PreTrainedTokenizerBase, request: LogprobRequest) -> list[ScoredText]:
    """Return the encoded context and text and, if the request has an `alone` text, that text encoded without context.

    Raises:
        RequestError: "no_bos", if a BOS is required and the tokenizer has none; and errors of `encode_chat`.
        ValueError: If a chat template is required and the tokenizer has none.
    """
    if request.chat:
        scored = [_encode_turns(tokenizer, request.before, request.context, request.text, request.bos)]
        return [*scored, _encode_reply(tokenizer, request.alone, request.bos)] if request.alone else scored
    scored = [_encode_raw(tokenizer, request.raw_before, request.context, request.text, request.bos)]
    return [*scored, _encode_alone(tokenizer, request)] if request.alone else scored


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the number of tokens of each text, without BOS."""
    return tuple(len(_with_bos(tokenizer, encode_text(tokenizer, text), "never")) for text in texts)


def truncate_texts(scored: Sequence[ScoredText], limit: int) -> list[ScoredText]:
    """Return the texts cut at their ends, as in the code of Superfiltering (2402.00530).

    Context and text together keep `limit` tokens. The text alone keeps the number of those that are its own, plus what
    comes before it, or one if nothing does (in Cherry_LLM's code, 2308.12032: the four tokens of its header).
    """
    first, *alone = scored
    left = limit - first.boundary
    return [
        _first_tokens(first, limit),
        *(_first_tokens(each, min(limit, max(1, left + (each.boundary or 1)))) for each in alone),
    ]


def _first_tokens(scored: ScoredText, count: int) -> ScoredText:
    return ScoredText(scored.ids[:count], min(scored.boundary, count), scored.content[:count])


def to_token_logprobs(
    request_id: str,
    scored_texts: Sequence[ScoredText],
    values: Sequence[Sequence[float | None]],
    counts: tuple[int, ...] = (),
    ranks: Sequence[int | None] = (),
) -> TokenLogprobs:
    """Return the answer to a request, from the log-probabilities of its texts' tokens and the counts it asks for.

    `ranks` are those of the first text's tokens, if the request asks for them.
    """
    first, content_masks = scored_texts[0], [scored.content for scored in scored_texts]
    parts = [
        tuple(value if own else None for value, own in zip(logprobs, content, strict=True))
        for logprobs, content in zip(values, content_masks, strict=True)
    ]
    lengths = (
        sum(content_masks[0][: first.boundary]),
        sum(content_masks[0][first.boundary :]),
        sum(sum(mask) for mask in content_masks[1:]),
    )
    own_ranks = tuple(rank if own else None for rank, own in zip(ranks, first.content, strict=True)) if ranks else ()
    return TokenLogprobs(request_id, first.boundary, *parts, lengths=lengths, counts=counts, ranks=own_ranks)


def _encode_raw(tokenizer: PreTrainedTokenizerBase, before: str, context: str, text: str, bos: Bos) -> ScoredText:
    """Encode raw text. A token of both `before` and `context` is content: its text is not in `before` alone."""
    context = before + context
    ids = _with_bos(tokenizer, encode_text(tokenizer, context + text), bos)
    boundary = len(_with_bos(tokenizer, encode_text(tokenizer, context), bos)) if context else 0
    known = _common_prefix_length(ids, _with_bos(tokenizer, encode_text(tokenizer, before), bos)) if before else 0
    skipped = max(known, _has_bos(tokenizer, ids))
    return ScoredText(tuple(ids), boundary, (*[False] * skipped, *[True] * (len(ids) - skipped)))


def _encode_alone(tokenizer: PreTrainedTokenizerBase, request: LogprobRequest) -> ScoredText:
    """Encode the text alone as raw text. The tokens of what is before it, tokenised by itself, are not content."""
    scored = _encode_raw(tokenizer, "", request.alone_before, request.alone, request.bos)
    return replace(scored, content=(*[False] * scored.boundary, *scored.content[scored.boundary :]))


def _encode_turns(
    tokenizer: PreTrainedTokenizerBase, before: Sequence[Message], question: str, answer: str, bos: Bos
) -> ScoredText:
    """Encode a user's and an assistant's turn, without the end of the assistant's turn, as raw text has none."""
    ids, labels = encode_example(tokenizer, (*before, ("user", question), ("assistant", answer)))
    prompt_length = sum(label < 0 for label in labels)
    empty, empty_labels = encode_example(tokenizer, (*before, ("user", ""), ("assistant", "")))
    head, tail = _frame_lengths(ids[:prompt_length], empty[: sum(label < 0 for label in empty_labels)])
    own = (
        [False] * head
        + [True] * (prompt_length - head - tail)
        + [False] * tail
        + [True] * (len(ids) - 1 - prompt_length)
    )
    with_bos = _with_bos(tokenizer, ids[:-1], bos)
    shift = len(with_bos) - len(own)
    return ScoredText(
        tuple(with_bos), prompt_length + shift, tuple(own[-shift:] if shift < 0 else [False] * shift + own)
    )


def _encode_reply(tokenizer: PreTrainedTokenizerBase, answer: str, bos: Bos) -> ScoredText:
    """Encode the answer after nothing but the opening of its turn (2308.12032)."""
    empty = ("user", "")
    ids, labels = encode_example(tokenizer, (empty, ("assistant", answer)))
    prompt_length = sum(label < 0 for label in labels)
    turn = encode_chat(tokenizer, (empty,), add_generation_prompt=False)
    opening = ids[len(turn) : prompt_length] if ids[: len(turn)] == turn else []
    opening = _with_bos(tokenizer, [*ids[: _has_bos(tokenizer, ids)], *opening], bos)
    reply = ids[prompt_length:-1]
    return ScoredText((*opening, *reply), 0, (*[False] * len(opening), *[True] * len(reply)))


def _frame_lengths(prompt: list[int], empty: list[int]) -> tuple[int, int]:
    """Return how many tokens of a prompt come before and after its question: those of a prompt without question."""
    head = _common_prefix_length(prompt, empty)
    return head, _common_prefix_length(prompt[head:][::-1], empty[head:][::-1])


def _common_prefix_length(some: list[int], others: list[int]) -> int:
    """Return the length of the longest common prefix of two lists."""
    pairs = zip(some, others, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(some), len(others)))


def _has_bos(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> bool:
    return bool(ids) and ids[0] == tokenizer.bos_token_id


def _with_bos(tokenizer: PreTrainedTokenizerBase, ids: list[int], bos: Bos) -> list[int]:
    """Return the ids with or without a leading BOS, as `bos` says.

    Raises:
        RequestError: "no_bos", if a BOS is required and the tokenizer has none.
    """
    if bos == "always" and not _has_bos(tokenizer, ids):
        if not isinstance(tokenizer.bos_token_id, int):
            raise RequestError("no_bos", f"the tokenizer of {tokenizer.name_or_path} has no BOS token")
        return [tokenizer.bos_token_id, *ids]
    return ids[1:] if bos == "never" and _has_bos(tokenizer, ids) else ids
