"""Encodes conversations as token ids with labels on what is learned, and collates them to batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actors.inference.chat_template import IGNORED, encode_example, starts_in_thoughts
from actors.training.spec import TrainRow, TrainSpec, step_count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Example = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class SftData:
    """Encoded rows, and the input tokens of one epoch.

    `dropped` counts the rows without anything to learn, `shortened` those that were cut to the maximum length.
    """

    examples: list[Example]
    dropped: int
    shortened: int
    tokens: int


def lengths_after_cutoff(source: int, target: int, cutoff: int) -> tuple[int, int]:
    """Return how many tokens of a prompt and its response to keep, at most `cutoff` together (LLaMA-Factory's rule)."""
    if 2 * target < cutoff:
        room = cutoff
    elif 2 * source < cutoff:
        room = cutoff - source
    else:
        room = cutoff * target // (source + target)
    target_kept = min(room, target)
    return min(cutoff - target_kept, source), target_kept


def encode_row(tokenizer: PreTrainedTokenizerBase, row: TrainRow, spec: TrainSpec) -> tuple[Example, bool] | None:
    """Return one row as ids and labels, and whether it was shortened; None if no token of the response is learned.

    A conversation that is too long loses its oldest exchanges, one after another; the system text is kept. If the last
    exchange alone is too long, LLaMA-Factory's rule cuts the prompt and the response.
    """
    if not row.response.strip():
        return None
    ids, labels = _encode_whole(tokenizer, row, spec)
    shortened = len(ids) > spec.max_length
    while len(ids) > spec.max_length and (left := _without_oldest_exchange(row)):
        row = left
        ids, labels = _encode_whole(tokenizer, row, spec)
    prompt = max((i for i, label in enumerate(labels, 1) if label == IGNORED), default=0)
    source, target = lengths_after_cutoff(prompt, len(ids) - prompt, spec.max_length)
    if target == 0:
        return None
    kept = [*range(source), *range(prompt, prompt + target)]
    return {"input_ids": [ids[i] for i in kept], "labels": [labels[i] for i in kept]}, shortened


def _encode_whole(tokenizer: PreTrainedTokenizerBase, row: TrainRow, spec: TrainSpec) -> tuple[list[int], list[int]]:
    messages = [*row.before, ("user", row.user), ("assistant", row.response)]
    return encode_example(tokenizer, messages, row.thoughts, every_turn=spec.loss == "all")


def _without_oldest_exchange(row: TrainRow) -> TrainRow | None:
    """Return the row without its first user turn and the reply to it; None if it has only its own."""
    start = sum(role == "system" for role, _ in row.before[:1])
    return row._replace(before=row.before[:start] + row.before[start + 2 :]) if len(row.before) > start else None


def encode_rows(tokenizer: PreTrainedTokenizerBase, rows: Sequence[TrainRow], spec: TrainSpec) -> SftData:
    """Encode all rows; drop and count those without a response to learn.

    If the prompt opens the thoughts, rows without thoughts learn to close them.
    """
    opened = starts_in_thoughts(tokenizer)
    completed = [row._replace(thoughts="") if opened and row.thoughts is None else row for row in rows]
    encoded = [encode_row(tokenizer, row, spec) for row in completed]
    examples = [one[0] for one in encoded if one]
    shortened = sum(one[1] for one in encoded if one)
    tokens = sum(len(example["input_ids"]) for example in examples)
    return SftData(examples, len(encoded) - len(examples), shortened, tokens)


Rows = list[Example]
PAD_ROW: Example = {"input_ids": [0], "labels": [IGNORED]}


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass: the inputs of the model, and the token that follows each one, -100 where it is not learned.

    All tensors are [sequences, tokens], int64. Each of several students has the same number of tokens, one student
    after the other. `row_lengths` are those of packed rows, which are concatenated in a single sequence.
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    row_lengths: tuple[int, ...] | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        return Batch(inputs, self.targets.to(device), self.row_lengths)


class DataOrder:
    """The rows of one student, step by step. The order is that of transformers' Trainer with the same seed."""

    def __init__(self, examples: Rows, spec: TrainSpec) -> None:
        self._examples, self._spec = examples, spec
        self.steps = step_count(spec, len(examples))
        self._order = lru_cache(maxsize=1)(self._shuffled)

    def rows(self, step: int) -> Rows:
        """Return the rows of an optimizer step (from 0) over all workers; none after the last step."""
        size, rows = self._spec.batch_size, len(self._examples)
        if step >= self.steps:
            return []
        epoch, index = divmod(step, math.ceil(rows / size))
        return [self._examples[i] for i in self._order(epoch)[index * size : (index + 1) * size]]

    def _shuffled(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._spec.seed + epoch)
        return torch.randperm(len(self._examples), generator=generator).tolist()


def response_token_count(rows: Rows) -> int:
    """Return how many tokens of the rows are learned."""
    return sum(label != IGNORED for row in rows for label in row["labels"])


def micro_batches(
    students: Sequence[Rows], size: int, worker: int, workers: int, min_count: int = 1
) -> Iterator[list[Rows]]:
    """Yield one worker's forward passes of a step, each with at most `size` rows of every student.

    All workers have the same number of passes, at least `min_count`. If no rows are left for one, its list is empty.
    """
    chunks = [[list(part) for part in _chunks(rows, size)] for rows in students]
    count = max(min_count, *(math.ceil(len(parts) / workers) for parts in chunks))
    for number in range(count):
        index = number * workers + worker
        yield [parts[index] if index < len(parts) else [] for parts in chunks]


def collate(students: Sequence[Rows], pad: int, packing: bool) -> Batch:
    """Return the batch of one forward pass: all rows concatenated (packing), or one padded sequence per row."""
    return _collate_packed(students, pad) if packing else _collate_padded(students, pad)


def _chunks(rows: Rows, size: int) -> Iterator[Rows]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _collate_packed(students: Sequence[Rows], pad: int) -> Batch:
    """Return one sequence; students with fewer tokens than others get a row of padding that is not learned."""
    tokens = [sum(len(row["input_ids"]) for row in rows) for rows in students]
    longest = max(1, *tokens)
    packed: Rows = []
    for rows, count in zip(students, tokens, strict=True):
        filler = [pad] * (longest - count)
        packed += [*rows, *([{"input_ids": filler, "labels": [IGNORED] * len(filler)}] if filler else [])]
    lengths = tuple(len(row["input_ids"]) for row in packed)

    def tensor(values: Iterator[Sequence[int]]) -> Tensor:
        return torch.tensor([list(itertools.chain.from_iterable(values))])  # [1, tokens]

    inputs = {
        "input_ids": tensor(row["input_ids"] for row in packed),
        "position_ids": tensor(range(length) for length in lengths),
    }
    return Batch(inputs, tensor(_shifted_labels(row) for row in packed), lengths)


def _collate_padded(students: Sequence[Rows], pad: int) -> Batch:
    """Return one sequence per row, padded on the right; students with fewer rows than others get rows of padding."""
    max_rows = max(1, *(len(rows) for rows in students))
    rows = [row for one in students for row in [*one, *[PAD_ROW] * (max_rows - len(one))]]
    longest = max(len(row["input_ids"]) for row in rows)

    def tensor(values: Iterator[list[int]], fill: int) -> Tensor:
        return torch.tensor([one + [fill] * (longest - len(one)) for one in values])  # [sequences, longest]

    inputs = {
        "input_ids": tensor((row["input_ids"] for row in rows), pad),
        "attention_mask": tensor(([1] * len(row["input_ids"]) for row in rows), 0),
    }
    return Batch(inputs, tensor((_shifted_labels(row) for row in rows), IGNORED))


def _shifted_labels(row: Example) -> list[int]:
    return [*row["labels"][1:], IGNORED]
