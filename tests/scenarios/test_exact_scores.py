"""Scores of real instructions against a plain loop over one row at a time, written from the definitions."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import bundled
from actors.engine import Client, EngineSpec
from actors.engines.transformers_engine import TransformersEngine
from actors.inference.templates.alpaca import alpaca_prompt
from pipelines.operators.score.perplexity import Score
from pipelines.rows.text import user_turn
from pipelines.rows.types import ResponseRow, ScoreRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

ROWS = 500
LENGTH = 1024  # tokens
MODEL = bundled.path("tiny-1m-chat")
RELATIVE = 1e-4


@pytest.fixture(scope="module")
def pairs(shared_data: Path) -> list[ResponseRow]:
    """The first rows of Alpaca that fit into the model."""
    with gzip.open(shared_data / "alpaca" / "alpaca_data.jsonl.gz", "rt") as file:
        rows = map(json.loads, file)
        found = (row for row in rows if row["output"] and len(str(row)) < LENGTH)
        return [pair(i, row) for i, row in enumerate(itertools.islice(found, ROWS))]


def pair(index: int, row: Mapping[str, str]) -> ResponseRow:
    return ResponseRow(str(index), "", "", index, row["instruction"], row["input"], row["output"], "stop", 0, 0)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(EngineSpec("transformers", str(MODEL), max_length=LENGTH, dtype="float32"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def score(client: Client, pairs: Sequence[ResponseRow], **options: Any) -> list[ScoreRow]:
    operator = Score(client, ScoringOptions(**options))

    async def together() -> list[ScoreRow]:
        return await asyncio.gather(*(operator(pair, pair.id) for pair in pairs))

    return asyncio.run(together())


def token_losses(model: Any, ids: list[int]) -> list[float]:
    """The cross-entropy of each token but the first, from one forward pass over one text."""
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none").tolist()


def mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)


def plain(model: Any, tokenizer: Any, row: ResponseRow, bos: bool = True, newline: str = "answer") -> dict[str, Any]:
    """The losses by 2412.11231's `eval_loss.py`: the answer part begins behind the tokens of the question alone."""

    def encode(text: str) -> list[int]:
        return tokenizer(text)["input_ids"][0 if bos else 1 :]

    question, answer = user_turn(row.instruction, row.input), encode(row.response)
    asked = encode(question if newline == "answer" else f"{question}\n")
    whole = token_losses(model, encode(f"{question}\n{row.response}"))
    place = len(asked) - 1
    first = place + max(0, len(whole) - place - len(answer) + bos)
    return {
        "loss_instruction": mean(whole[:place]),
        "loss_conditional": mean(whole[place:]),
        "loss_answer": mean(token_losses(model, answer)),
        "answer_probabilities": [math.exp(-loss) for loss in whole[first : first + 5]],
    }


def check(got: ScoreRow, expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        assert getattr(got, name) == pytest.approx(value, rel=RELATIVE), name
    instruction, conditional, alone = (expected[f"loss_{name}"] for name in ("instruction", "conditional", "answer"))
    assert got.ppl_conditional == pytest.approx(math.exp(conditional), rel=20 * RELATIVE)
    assert got.ifd == pytest.approx(conditional / alone, rel=RELATIVE)
    assert got.ifd_ppl == pytest.approx(math.exp(conditional) / math.exp(alone), rel=20 * RELATIVE)
    assert got.ic_ifd == pytest.approx(conditional / (instruction * alone), rel=2 * RELATIVE)


def test_scores_equal_a_plain_loop(pairs: list[ResponseRow], engine: TransformersEngine, model: Any, tokenizer: Any):
    scores = score(engine, pairs)
    assert [row.index for row in scores] == [row.index for row in pairs] and len(scores) == ROWS
    for row, got in zip(pairs, scores, strict=True):
        check(got, plain(model, tokenizer, row))


def test_scores_without_bos_equal_a_plain_loop(
    pairs: list[ResponseRow], engine: TransformersEngine, model: Any, tokenizer: Any
) -> None:
    few = pairs[:40]
    for row, got in zip(few, score(engine, few, bos="never"), strict=True):
        check(got, plain(model, tokenizer, row, bos=False))
    always, auto = score(engine, few, bos="always"), score(engine, few)
    assert [row.loss_answer for row in always] == pytest.approx([row.loss_answer for row in auto], rel=RELATIVE)


def test_the_newline_may_belong_to_the_question(
    pairs: list[ResponseRow], engine: TransformersEngine, model: Any, tokenizer: Any
) -> None:
    few = pairs[:20]
    for row, got in zip(few, score(engine, few, boundary="question"), strict=True):
        check(got, plain(model, tokenizer, row, newline="question"))


def test_cherrys_form_equals_a_plain_loop_as_its_code_has_it(
    pairs: list[ResponseRow], engine: TransformersEngine, model: Any, tokenizer: Any
) -> None:
    few = pairs[:20]
    assert {bool(row.input) for row in few} == {True, False}

    def losses(header: str, answer: str) -> list[float]:
        return token_losses(model, tokenizer(header + answer)["input_ids"])[len(tokenizer(header)["input_ids"]) - 1 :]

    for row, got in zip(few, score(engine, few, form="cherry"), strict=True):
        prompt = alpaca_prompt(row.instruction, row.input)
        expected = {
            "loss_instruction": mean(token_losses(model, tokenizer(prompt)["input_ids"])),
            "loss_conditional": mean(losses(prompt, row.response)),
            "loss_answer": mean(losses("### Response:", row.response)),
        }
        check(got, expected)
        counts = [len(tokenizer(text)["input_ids"]) - 1 for text in (row.instruction, row.response)]
        assert [got.tokens_instruction, got.tokens_answer] == counts


def test_in_the_chat_template_only_the_contents_are_scored(
    pairs: list[ResponseRow], engine: TransformersEngine, model: Any, tokenizer: Any
) -> None:
    few = pairs[:20]
    for row, got in zip(few, score(engine, few, form="chat"), strict=True):
        question, answer = (
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (user_turn(row.instruction, row.input), row.response)
        )
        user, end, assistant = tokenizer.convert_tokens_to_ids(["<|user|>", "<|end|>", "<|assistant|>"])
        start = [tokenizer.bos_token_id]
        whole = token_losses(model, [*start, user, *question, end, assistant, *answer])
        alone = token_losses(model, [*start, assistant, *answer])
        assert got.loss_instruction == pytest.approx(mean(whole[1 : 1 + len(question)]), rel=RELATIVE)
        assert got.loss_conditional == pytest.approx(mean(whole[-len(answer) :]), rel=RELATIVE)
        assert got.loss_answer == pytest.approx(mean(alone[1:]), rel=RELATIVE)
        assert (got.tokens_with_input, got.tokens_answer) == (len(question), len(answer))
