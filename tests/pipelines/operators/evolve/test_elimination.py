"""The elimination rules of Evol-Instruct, one row at a time. A row that fails keeps its previous instruction."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import prompts
from actors.engine import GenerateRequest, Generation, Sampling
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.evolve.elimination import Eliminate, failed_answer
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.rows.types import InstructionRow
from pipelines.study.spec.instructions.evolution import Elimination, LengthBound
from tests.support.studies import evolve_job

SEED = InstructionRow("a" * 32, "", "a" * 32, 3, 0, "seed", "Name a bird.", "Peru", "", "", "accepted", 0, 0)
EVOLVED = replace(
    SEED, id="b" * 32, parent_id=SEED.id, round=1, method="deepen", instruction="Name two birds.",
    before="Name a bird.", raw="Name two birds.", answer="Owl and condor",
)  # fmt: skip


class Says:
    """An engine that says one thing after another, and remembers what it was asked."""

    def __init__(self, *texts: str, finish: str = "stop") -> None:
        self.texts, self.finish = list(texts), finish
        self.asked: list[GenerateRequest] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return Generation(request.id, self.texts.pop(0), self.finish, 9, 4)  # type: ignore[arg-type]

    async def logprobs(self, request: object) -> object:
        raise NotImplementedError


def evolve(*texts: str, finish: str = "stop", growth: LengthBound | None = None) -> tuple[InstructionRow, Says]:
    engine = Says(*texts, finish=finish)
    job = evolve_job(eliminates=True, growth=growth)
    made = asyncio.run(apply_operator(Evolve(engine, job, Sampling(), 0), SEED, "c" * 32))  # type: ignore[arg-type]
    assert isinstance(made, InstructionRow)
    return made, engine


def eliminate(row: InstructionRow, *texts: str) -> tuple[InstructionRow, Says]:
    engine = Says(*texts)
    made = asyncio.run(apply_operator(Eliminate(engine, Elimination()), row, "d" * 32))  # type: ignore[arg-type]
    assert isinstance(made, InstructionRow)
    assert (made.id, made.parent_id, made.seed_id, made.round) == ("d" * 32, row.id, row.seed_id, row.round)
    return made, engine


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Sorry, I cannot.", "hard_to_answer"),
        ("I am SORRY.", "hard_to_answer"),
        ("Sorry" + " word" * 85, None),
        ("sorry" + " word" * 78, "hard_to_answer"),
        ("sorry" + " word" * 79, None),
        ("... the and !", "degenerate_answer"),
        ("42", None),
        ("", "degenerate_answer"),
        (" \n", "degenerate_answer"),
        ("?!", "degenerate_answer"),
        ("It isn’t.", "degenerate_answer"),
        ("It is 7.", None),
        ("鳥", None),
    ],
)
def test_answers_that_show_a_failed_evolution(answer: str, reason: str | None) -> None:
    assert failed_answer(answer, 80) == reason


def test_the_evolver_answers_its_own_evolution_with_its_own_sampling_and_sees_the_input() -> None:
    made, engine = evolve("Name two birds.", "Owl and condor")
    assert (made.instruction, made.before, made.answer) == ("Name two birds.", "Name a bird.", "Owl and condor")
    assert made.raw == "Name two birds." and made.outcome == "accepted"
    assert "Name two birds." in engine.asked[1].messages[0][1] and "Peru" in engine.asked[1].messages[0][1]
    assert engine.asked[0].sampling == engine.asked[1].sampling


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("#Given Prompt#: A bird. #Rewritten Prompt#: Name two birds.", "stop", "leaked_frame"),
        ("This is the created prompt.", "stop", "leaked_frame"),
        ("Be sure to follow the given prompt.", "stop", "leaked_frame"),
        ("", "stop", "empty"),
        ("Name a bird.", "stop", "unchanged"),
        ("Name two", "length", "truncated"),
        ("Name one two three four five birds.", "stop", "grew_too_much"),
    ],
)
def test_a_failed_rewrite_goes_on_un_evolved_and_is_not_answered(text: str, finish: str, reason: str) -> None:
    made, engine = evolve(text, finish=finish, growth=LengthBound(words=3))
    assert (made.instruction, made.outcome, made.raw) == ("Name a bird.", f"eliminated:{reason}", text)
    assert made.eliminated and made.input == "Peru" and len(engine.asked) == 1
    passed, judge = eliminate(made)
    assert (passed.instruction, passed.outcome, judge.asked) == ("Name a bird.", f"eliminated:{reason}", [])


@pytest.mark.parametrize("verdict", ["not equal", "Not equal.", "NOT EQUAL"])
def test_an_evolution_that_gained_something_passes_and_the_verdict_is_kept(verdict: str) -> None:
    made, judge = eliminate(EVOLVED, verdict)
    assert (made.instruction, made.eliminated, made.raw) == ("Name two birds.", False, verdict)
    prompt = judge.asked[0].messages[0][1]
    assert prompt == prompts.get("equality").render(first="Name a bird.", second="Name two birds.")
    assert judge.asked[0].sampling.temperature == 0


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ("equal", "no_gain"),
        ("Equal.", "no_gain"),
        ("hm", "no_verdict"),
        ("", "no_verdict"),
        ("equal or not equal", "no_verdict"),
    ],
)
def test_an_evolution_without_gain_or_verdict_is_undone(verdict: str, reason: str) -> None:
    made, _ = eliminate(EVOLVED, verdict)
    assert (made.instruction, made.outcome, made.raw) == ("Name a bird.", f"eliminated:{reason}", verdict)


def test_a_failed_answer_costs_no_verdict() -> None:
    made, judge = eliminate(replace(EVOLVED, answer="Sorry, no."))
    assert (made.instruction, made.outcome, judge.asked) == ("Name a bird.", "eliminated:hard_to_answer", [])


def test_the_next_round_starts_again_from_the_un_evolved_instruction() -> None:
    undone, _ = eliminate(EVOLVED, "equal")
    engine = Says("Name three birds.", "Owl")
    operator = Evolve(engine, evolve_job(round=2, eliminates=True), Sampling(), 0)  # type: ignore[arg-type]
    made = asyncio.run(apply_operator(operator, undone, "e" * 32))
    assert isinstance(made, InstructionRow)
    assert (made.before, made.instruction, made.outcome) == ("Name a bird.", "Name three birds.", "accepted")
    assert not made.eliminated and made.round == 2
