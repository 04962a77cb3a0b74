"""From (user turn, response) pairs to token ids and labels that count the response only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.chat import IGNORED, encode_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Example = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class SftData:
    """Encoded rows, how many rows had nothing to learn from, and the input tokens of one epoch."""

    examples: list[Example]
    dropped: int
    tokens: int


def lengths_after_cutoff(source: int, target: int, cutoff: int) -> tuple[int, int]:
    """Tokens kept of a prompt and its response, so that both together have at most `cutoff` (LLaMA-Factory's rule)."""
    if 2 * target < cutoff:
        room = cutoff
    elif 2 * source < cutoff:
        room = cutoff - source
    else:
        room = cutoff * target // (source + target)
    kept = min(room, target)
    return min(cutoff - kept, source), kept


def encode_pair(tokenizer: PreTrainedTokenizerBase, user: str, response: str, max_length: int) -> Example | None:
    """One row as ids and labels, or None if no token of the response would count towards the loss."""
    if not response.strip():
        return None
    ids, labels = encode_example(tokenizer, [("user", user), ("assistant", response)])
    prompt = labels.count(IGNORED)
    source, target = lengths_after_cutoff(prompt, len(ids) - prompt, max_length)
    if target == 0:
        return None
    answer = ids[prompt : prompt + target]
    return {"input_ids": ids[:source] + answer, "labels": [IGNORED] * source + answer}


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, users: Sequence[str], responses: Sequence[str], max_length: int
) -> SftData:
    """Encode all rows; those without a response to learn are dropped and counted."""
    encoded = [
        encode_pair(tokenizer, user, response, max_length) for user, response in zip(users, responses, strict=True)
    ]
    examples = [example for example in encoded if example is not None]
    return SftData(examples, len(encoded) - len(examples), sum(len(example["input_ids"]) for example in examples))
