"""What becomes of a row whose rewrite fails: dropped, kept as it was, or asked for again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from actors.engine import GenerateRequest, Generation, Sampling
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.respond.answer import Respond
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow
from pipelines.study.spec.instructions.evolution import Evolution
from tests.support.studies import evolve_job

SEED = InstructionRow("a" * 32, "", "a" * 32, 3, 0, "seed", "Name a bird.", "", "Owl", "", "accepted", 0, 0)
CUT, REFUSAL, GOOD = (
    ("Name two bi", "length"),
    ("I'm sorry, but I can't help with that.", "stop"),
    ("Name two.", "stop"),
)


class Says:
    """An engine that says one thing after another, each with its finish reason, and remembers what it was asked."""

    def __init__(self, *replies: tuple[str, str]) -> None:
        self.replies, self.asked = list(replies), list[GenerateRequest]()

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        text, finish = self.replies.pop(0)
        return Generation(request.id, text, finish, 9, 4)  # type: ignore[arg-type]


def evolved(engine: Says, row: InstructionRow = SEED, **changes: Any) -> Any:
    return asyncio.run(apply_operator(Evolve(engine, evolve_job(**changes), Sampling(), 0), row, "c" * 32))  # type: ignore[arg-type]


@pytest.mark.parametrize(("reply", "reason"), [(CUT, "truncated"), (REFUSAL, "refused"), (("", "stop"), "empty")])
def test_a_kept_row_stays_as_it_was_and_is_answered_and_evolved_again(reply: tuple[str, str], reason: str) -> None:
    assert isinstance(evolved(Says(reply)), Rejection)
    kept = evolved(Says(reply), on_failure="keep")
    assert (kept.outcome, kept.kept, kept.eliminated) == (f"kept:{reason}", True, False)
    assert (kept.instruction, kept.before, kept.reference, kept.raw) == (
        SEED.instruction,
        SEED.instruction,
        "Owl",
        reply[0],
    )
    answer = asyncio.run(apply_operator(Respond(Says(("Owl", "stop")), Sampling(), 0), kept, "d" * 32))  # type: ignore[arg-type]
    assert isinstance(answer, ResponseRow)
    again = evolved(Says(GOOD), kept, on_failure="keep", round=2)
    assert (again.instruction, again.outcome, again.reference) == ("Name two.", "accepted", "")


def test_a_failed_rewrite_is_asked_for_again_with_other_seeds() -> None:
    engine = Says(CUT, REFUSAL, GOOD)
    made = evolved(engine, on_failure="retry", retries=3)
    assert (made.instruction, made.outcome, made.attempts) == ("Name two.", "retried:truncated+refused", 3)
    assert (made.tokens_in, made.tokens_out) == (27, 12)
    assert len({one.id for one in engine.asked}) == len({one.seed for one in engine.asked}) == 3
    assert len({one.messages for one in engine.asked}) == 1
    repaired = evolved(Says(CUT, ('"Name two."', "stop")), on_failure="retry", retries=1)
    assert repaired.outcome == "retried:truncated repaired:quotes"
    first = evolved(Says(GOOD), on_failure="retry", retries=3)
    assert (first.outcome, first.attempts) == ("accepted", 1)


def test_a_row_that_fails_every_time_is_rejected_with_the_last_reason() -> None:
    lost = evolved(Says(CUT, REFUSAL), on_failure="retry", retries=1)
    assert isinstance(lost, Rejection)
    assert (lost.reason, lost.detail, lost.raw) == ("refused", "the last of 2 attempts", REFUSAL[0])


def test_with_an_elimination_the_row_is_reverted_after_the_last_attempt() -> None:
    made = evolved(Says(CUT, CUT), on_failure="retry", retries=1, eliminates=True)
    assert (made.outcome, made.attempts) == ("eliminated:truncated", 2)


def test_another_language_is_flagged_and_kept() -> None:
    made = evolved(Says(("Here is the prompt:\n请说出两种鸟的名字。", "stop")))
    assert (made.instruction, made.outcome) == ("请说出两种鸟的名字。", "flagged:language repaired:preamble")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"retries": 2}, "only allowed with 'on_failure: retry'"),
        ({"on_failure": "retry", "sampling": {"temperature": 0.0}}, "temperature above 0"),
        ({"on_failure": "keep", "elimination": True}, "not allowed with 'elimination'"),
        ({"method": "autoif", "on_failure": "keep"}, "not allowed with the method 'autoif'"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evolution.model_validate({"evolvers": ["a"]} | fields)
