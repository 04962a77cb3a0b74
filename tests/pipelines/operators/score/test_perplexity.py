"""Losses and what is made of them: the worked examples, what is asked of an engine, what is rejected."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from actors.engine import EngineSpec, LogprobRequest, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.score.perplexity import Score, logprob_request, pair_texts
from pipelines.rows.readers import read_seeds
from pipelines.rows.types import Rejection, ResponseRow, Row, ScoreRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

PAIR = ResponseRow("b" * 32, "a" * 32, "a" * 32, 3, "Name a bird.", "", "Owl", "stop", 5, 1)
PICKS = "alpaca_selected/cherry_alpaca_5_percent.json.gz"
TURN = "Name a bird.\nIn Peru."
Values = tuple[float | None, ...]


class Knows(ScriptedEngine):
    """An engine whose log-probabilities are given, and that remembers what it was asked."""

    def __init__(self, question: Values, answer: Values, alone: Values, newline: int = 1) -> None:
        super().__init__(EngineSpec("scripted", "knows"))
        lengths = (len(question) - 1, len(answer), len(answer) - newline)
        self.said = TokenLogprobs("x", len(question), question + answer, alone, lengths)
        self.asked: list[LogprobRequest] = []

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        self.asked.append(request)
        return replace(self.said, counts=(1,) * len(request.counted))


def of_loss(instruction: float, conditional: float, alone: float) -> Knows:
    """Two tokens each, around these means."""
    values = [(-loss * 0.75, -loss * 1.25) for loss in (instruction, conditional, alone)]
    return Knows((None, *values[0]), values[1], (None, *values[2]))


def apply(engine: ScriptedEngine, row: Row = PAIR, **options: object) -> Row:
    return asyncio.run(apply_operator(Score(engine, ScoringOptions.model_validate(options)), row, "c" * 32))


def scored(engine: ScriptedEngine, **options: object) -> ScoreRow:
    made = apply(engine, **options)
    assert isinstance(made, ScoreRow)
    return made


def test_worked_example_of_loss_and_perplexity() -> None:
    known = tuple(math.log(p) for p in (0.5, 0.25, 0.125))
    made = scored(Knows((None, *known), known, (None, *known)))
    for name in ("instruction", "conditional", "answer"):
        assert getattr(made, f"loss_{name}") == pytest.approx(1.386294, abs=1e-6)
        assert getattr(made, f"ppl_{name}") == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("conditional", "alone", "instruction", "ifd", "ic_ifd", "ifd_ppl"),
    [(1.2, 1.5, 2.5, 0.80, 0.32, 0.740818), (0.9, 0.75, 1.0, 1.2, 1.2, 1.161834)],
)
def test_worked_examples_of_ifd_and_ic_ifd(
    conditional: float, alone: float, instruction: float, ifd: float, ic_ifd: float, ifd_ppl: float
) -> None:
    made = scored(of_loss(instruction, conditional, alone))
    assert (made.loss_instruction, made.loss_conditional, made.loss_answer) == pytest.approx(
        (instruction, conditional, alone)
    )
    assert made.ifd == pytest.approx(ifd)
    assert made.ic_ifd == pytest.approx(ic_ifd)
    assert made.ifd_ppl == pytest.approx(ifd_ppl, abs=1e-6)


def test_a_sets_score_is_the_mean_of_its_rows_ratios() -> None:
    rows = [scored(of_loss(2, 1, 2)), scored(of_loss(3, 0.6, 0.6))]
    assert fmean(row.ifd for row in rows) == pytest.approx(0.75)
    assert fmean(row.ic_ifd for row in rows) == pytest.approx(0.291667, abs=1e-6)


def test_a_loss_of_zero_of_the_answer_given_the_question_is_a_score() -> None:
    made = scored(of_loss(1, 0, 2))
    assert (made.loss_conditional, made.ppl_conditional, made.ifd) == (0, 1, 0)


def test_rsr_is_the_mean_rank_of_the_answer_over_its_loss() -> None:
    engine = of_loss(2, 1.5, 2)
    engine.said = replace(engine.said, ranks=(None, 7, 9, 1, 2000))
    made = scored(engine, ranks=True)
    assert engine.asked[0].ranks
    assert made.mean_rank == (1 + 100) / 2, "a rank counts as at most 100, and those of the question do not count"
    assert made.rsr == pytest.approx(50.5 / 1.5)
    unasked = scored(of_loss(2, 1.5, 2))
    assert (unasked.mean_rank, unasked.rsr) == (0, 0)


@pytest.mark.parametrize(
    ("question", "answer", "alone", "reason"),
    [
        ((None,), (-1.0,), (None, -1.0), "no_tokens"),
        ((None, -1.0), (-1.0,), (None,), "no_tokens"),
        ((None, -1.0), (-1.0,), (), "no_tokens"),
        ((None, -1.0), (), (None, -1.0), "no_tokens"),
        ((None, -1.0), (-1.0,), (None, 0.0), "zero_loss"),
        ((None, 0.0), (-1.0,), (None, -1.0), "zero_loss"),
        ((None, math.nan), (-1.0,), (None, -1.0), "not_finite"),
        ((None, -1.0), (-1.0,), (None, -math.inf), "not_finite"),
        ((None, -1.0), (-800.0,), (None, -1.0), "not_finite"),
    ],
)
def test_what_is_undefined_is_a_rejection_and_never_nan(
    question: Values, answer: Values, alone: Values, reason: str
) -> None:
    made = apply(Knows(question, answer, alone))
    assert isinstance(made, Rejection) and (made.status, made.reason) == ("rejected", reason)


@pytest.mark.parametrize(
    ("options", "context", "text", "chat"),
    [
        ({}, TURN, "\nOwl", False),
        ({"boundary": "question"}, f"{TURN}\n", "Owl", False),
        ({"form": "chat"}, TURN, "Owl", True),
    ],
)
def test_one_request_carries_pair_and_answer(options: dict[str, str], context: str, text: str, chat: bool) -> None:
    engine = of_loss(1, 1, 1)
    apply(engine, replace(PAIR, input="In Peru."), **options, bos="never")
    counted = ("Name a bird.", *([TURN] if context != TURN else []))
    assert engine.asked == [LogprobRequest("c" * 32, context, text, "Owl", chat, "never", counted=counted)]


def test_worked_example_of_token_probabilities() -> None:
    engine = Knows((None, -1.0), (-3.0, 0.0, -0.693147), (None, -1.0))
    assert scored(engine).answer_probabilities == pytest.approx([1.0, 0.5])
    assert scored(engine, probabilities=1).answer_probabilities == [1.0]
    assert scored(engine, probabilities=0).answer_probabilities == []


def test_a_newline_within_the_first_token_is_no_token_of_its_own() -> None:
    engine = Knows((None, -1.0), (-0.693147, 0.0), (None, -1.0), newline=0)
    assert scored(engine).answer_probabilities == pytest.approx([0.5, 1.0])


def test_lengths_are_in_tokens() -> None:
    made = apply(ScriptedEngine(EngineSpec("scripted", "any")), replace(PAIR, response="Owl or wren"))
    assert isinstance(made, ScoreRow) and (made.tokens_instruction, made.tokens_answer) == (3, 3)


CHERRY = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nName a bird.\n\n### Response:"
)
CHERRY_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n"
    "### Instruction:\nName a bird.\n\n### Input:\nIn Peru.\n\n### Response:"
)


@pytest.mark.parametrize(
    ("extra", "prompt", "counted"),
    [
        ("", CHERRY, ("Name a bird.", "Owl")),
        ("In Peru.", CHERRY_WITH_INPUT, ("Name a bird.", "Name a bird.\nIn Peru.", "Owl")),
    ],
)
def test_cherry_scores_the_answer_after_alpacas_prompt_and_alone_after_its_last_line(
    extra: str, prompt: str, counted: tuple[str, ...]
) -> None:
    request = logprob_request(replace(PAIR, input=extra), "x", ScoringOptions(form="cherry"))
    assert request == LogprobRequest("x", prompt, "Owl", "Owl", alone_before="### Response:", counted=counted)


def test_alpacas_rows_are_put_into_the_prompt_as_in_cherrys_code(shared_data: Path) -> None:
    """Cherry_LLM fills its templates with `format_map` and takes the answer's last occurrence in the text."""
    template = CHERRY.replace("Name a bird.", "{instruction}")
    with_input = CHERRY_WITH_INPUT.replace("Name a bird.", "{instruction}").replace("In Peru.", "{input}")
    picks = {(row.instruction, row.input) for row in read_seeds(shared_data / PICKS).rows}
    rows = read_seeds(shared_data / "alpaca/alpaca_data.jsonl.gz").rows
    for row in rows:
        pair = replace(PAIR, instruction=row.instruction, input=row.input, response=row.output)
        prompt, answer, header = pair_texts(pair, ScoringOptions(form="cherry"))
        given = {"instruction": row.instruction, "input": row.input}
        whole = (with_input if row.input else template).format_map(given) + row.output
        assert (prompt + answer, len(prompt), header) == (whole, whole.rfind(row.output), "### Response:")
        picks.discard((row.instruction, row.input))
    assert len(rows) == 52_002 and not picks, "Cherry's picks are rows of this file"


@pytest.mark.parametrize("options", [{}, {"boundary": "question"}, {"form": "cherry"}, {"truncate": True}])
def test_an_instruction_is_counted_alone_and_with_its_input_in_every_form(options: dict[str, Any]) -> None:
    made = apply(
        ScriptedEngine(EngineSpec("scripted", "any")), replace(PAIR, input="In Peru.", response="An owl"), **options
    )
    assert isinstance(made, ScoreRow)
    assert (made.tokens_instruction, made.tokens_with_input, made.tokens_answer) == (3, 5, 2)
