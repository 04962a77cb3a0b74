"""Rows for training: what is kept, what counts towards the loss, and in which order."""

from __future__ import annotations

import pytest

from actors.chat import IGNORED
from actors.sft_data import encode_pair, encode_pairs, lengths_after_cutoff


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        (3000, 500, (1548, 500)),
        (500, 3000, (500, 1548)),
        (2000, 2000, (1024, 1024)),
        (1500, 1500, (1024, 1024)),
        (100, 100, (100, 100)),
    ],
)
def test_cutoff_as_in_llama_factory(source: int, target: int, kept: tuple[int, int]) -> None:
    assert lengths_after_cutoff(source, target, 2048) == kept


def test_only_the_response_and_its_end_have_labels(tokenizer) -> None:
    example = encode_pair(tokenizer, "Name a word.", "apple", 256)
    assert example is not None
    learned = [label for label in example["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "apple<|im_end|>"
    assert example["input_ids"][-len(learned) :] == learned


def test_a_long_row_keeps_the_starts_of_prompt_and_response(tokenizer) -> None:
    whole = encode_pair(tokenizer, "lazy dog " * 30, "quick fox " * 30, 10_000)
    short = encode_pair(tokenizer, "lazy dog " * 30, "quick fox " * 30, 64)
    assert whole is not None and short is not None
    assert len(short["input_ids"]) == len(short["labels"]) == 64
    prompt = short["labels"].count(IGNORED)
    assert short["input_ids"][:prompt] == whole["input_ids"][:prompt]
    start = whole["labels"].count(IGNORED)
    assert short["labels"][prompt:] == whole["labels"][start : start + 64 - prompt]


def test_rows_without_a_response_are_dropped_and_counted(tokenizer) -> None:
    data = encode_pairs(tokenizer, ["a", "b", "c"], ["one", "", " \n"], 256)
    assert (len(data.examples), data.dropped) == (1, 2)
    assert data.tokens == len(data.examples[0]["input_ids"])
