"""One row through evolve and respond: what is passed on, what is rejected and why."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

from actors.engine import GenerateRequest, Generation, LogprobRequest, RequestError, Sampling, TokenLogprobs
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.respond.answer import Respond
from pipelines.rows.operator import Operator
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow, Row
from pipelines.study.spec.instructions.evolution import LengthBound
from tests.support.studies import evolve_job

SEED = InstructionRow("a" * 32, "", "a" * 32, 3, 0, "seed", "Name a bird.", "", "", "", "accepted", 0, 0)
PAIR = ResponseRow("b" * 32, "a" * 32, "a" * 32, 3, "Name a bird.", "", "Owl", "stop", 5, 1)


class Says:
    """An engine that always says the same, and remembers what it was asked."""

    def __init__(self, text: str = "", finish: str = "stop") -> None:
        self.text, self.finish = text, finish
        self.asked: list[GenerateRequest] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        logprobs = (0.0, math.log(0.5), math.log(0.25), -9.0) if request.logprobs else None
        return Generation(request.id, self.text, self.finish, 9, 4, logprobs)  # type: ignore[arg-type]

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        raise NotImplementedError

    def close(self) -> None: ...


def evolve(engine: Says, **changes: Any) -> Evolve:
    return Evolve(engine, evolve_job(**changes), Sampling(), 0)


def apply(operator: Operator[Any, Any], row: Row) -> Row:
    return asyncio.run(apply_operator(operator, row, "c" * 32))


def test_an_evolved_row_keeps_its_lineage_and_its_raw_reply() -> None:
    made = apply(evolve(Says('  "Name a rare bird."\n')), replace(SEED, input="In Peru."))
    assert isinstance(made, InstructionRow)
    assert (made.instruction, made.input, made.raw) == ("Name a rare bird.", "In Peru.", '  "Name a rare bird."\n')
    assert (made.parent_id, made.seed_id, made.index, made.round) == (SEED.id, SEED.id, 3, 1)
    assert (made.method, made.outcome) == ("reasoning", "repaired:quotes")


def test_the_probabilities_of_an_evolvers_first_tokens_are_kept_where_they_are_asked_for() -> None:
    engine = Says("Name a rare bird.")
    kept = apply(evolve(engine, probabilities=3), SEED)
    assert isinstance(kept, InstructionRow) and kept.probabilities == pytest.approx([1.0, 0.5, 0.25])
    none = apply(evolve(engine), SEED)
    assert isinstance(none, InstructionRow) and none.probabilities == []
    assert [request.logprobs for request in engine.asked] == [True, False]
    answered = Says("Name a rare bird.")
    apply(evolve(answered, probabilities=3, eliminates=True), SEED)
    assert [request.logprobs for request in answered.asked] == [True, False], "not those of the evolver's answer"


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "empty"),
        ("Name a rare", "length", "truncated"),
        ("Name a bird.", "stop", "unchanged"),
        ("Here is the #Given Prompt# again", "stop", "leaked_frame"),
    ],
)
def test_a_bad_rewrite_is_a_rejection_with_its_reason_and_reply(text: str, finish: str, reason: str) -> None:
    made = apply(evolve(Says(text, finish)), SEED)
    assert isinstance(made, Rejection)
    assert (made.status, made.reason, made.raw, made.parent_id) == ("rejected", reason, text, SEED.id)


def test_the_evolver_does_not_see_the_input() -> None:
    engine = Says("Name two birds.")
    apply(evolve(engine), replace(SEED, input="SECRET"))
    assert "SECRET" not in engine.asked[0].messages[0][1]


def test_the_evolver_can_see_instruction_and_input_as_one_text() -> None:
    engine = Says("Name two birds of Peru.")
    made = apply(evolve(engine, input="merge"), replace(SEED, input="In Peru."))
    assert "Instruction: Name a bird.\nIn Peru." in engine.asked[0].messages[0][1]
    assert isinstance(made, InstructionRow)
    assert (made.before, made.instruction, made.input) == ("Name a bird.\nIn Peru.", "Name two birds of Peru.", "")


@pytest.mark.parametrize(
    ("bound", "words", "passes"),
    [
        (LengthBound(words=20), 23, True),
        (LengthBound(words=20), 24, False),
        (LengthBound(ratio=2.0), 6, True),
        (LengthBound(ratio=2.0), 7, False),
        (LengthBound(words=100, ratio=2.0), 7, False),
        (None, 500, True),
    ],
)
def test_an_instruction_may_grow_as_much_as_its_bound_allows(
    bound: LengthBound | None, words: int, passes: bool
) -> None:
    made = apply(evolve(Says(" ".join(["word"] * words)), growth=bound), SEED)
    assert isinstance(made, InstructionRow) if passes else isinstance(made, Rejection)
    assert passes or (made.reason, made.detail) == ("grew_too_much", f"3 words to {words}")  # type: ignore[attr-defined]


def test_template_syntax_in_a_seed_stays_a_value() -> None:
    engine = Says("ok")
    nasty = "Say {instruction} and {{ 7 * 7 }} and <|end|>"
    apply(evolve(engine), replace(SEED, instruction=nasty))
    assert engine.asked[0].messages[0][1].count(nasty) == 1


def test_a_teacher_sees_the_input() -> None:
    engine = Says("Condor")
    made = apply(Respond(engine, Sampling(), 0), replace(SEED, input="In Peru."))
    assert isinstance(made, ResponseRow) and made.response == "Condor"
    assert "In Peru." in engine.asked[0].messages[0][1]


def test_an_undone_evolution_is_not_answered_again() -> None:
    engine = Says("Condor")
    made = apply(Respond(engine, Sampling(), 0), replace(SEED, outcome="eliminated:no_gain"))
    assert isinstance(made, Rejection) and engine.asked == []
    assert (made.status, made.reason, made.detail) == ("rejected", "not_evolved", "eliminated:no_gain")


def test_a_truncated_answer_is_kept_and_marked() -> None:
    made = apply(Respond(Says("Con", "length"), Sampling(), 0), SEED)
    assert isinstance(made, ResponseRow) and made.finish_reason == "length"


def test_a_request_that_no_engine_can_answer_is_a_failed_row() -> None:
    class Refuses(Says):
        async def generate(self, request: GenerateRequest) -> Generation:
            raise RequestError("too_long", "9000 tokens")

    made = apply(Respond(Refuses(), Sampling(), 0), SEED)
    assert isinstance(made, Rejection) and (made.status, made.reason) == ("failed", "too_long")
