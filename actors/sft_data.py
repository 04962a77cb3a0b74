"""From (user turn, response) pairs to padded batches whose loss counts the response only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data import Sampler

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


def collate(examples: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded int64 tensors (rows, longest row) for a causal language model."""
    longest = max(len(example["input_ids"]) for example in examples)

    def padded(rows: Iterator[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])

    return {
        "input_ids": padded((e["input_ids"] for e in examples), pad),
        "attention_mask": padded(([1] * len(e["input_ids"]) for e in examples), 0),
        "labels": padded((e["labels"] for e in examples), IGNORED),
    }


def with_filler(examples: list[Example], multiple: int) -> list[Example]:
    """Append rows without any label until `multiple` divides the count.

    Workers then get equally many rows without one being seen twice, so their number does not change the gradient.
    """
    filler: Example = {"input_ids": [0], "labels": [IGNORED]}
    return examples + [filler] * (-len(examples) % multiple)


class EpochOrder(Sampler[int]):
    """A fresh order for every epoch that depends on the seed and the epoch only; filler rows stay at the end."""

    def __init__(self, rows: int, filler: int, seed: int) -> None:
        self._rows, self._filler, self._seed, self._epoch = rows, filler, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows + self._filler

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        yield from torch.randperm(self._rows, generator=generator).tolist()
        yield from range(self._rows, self._rows + self._filler)
