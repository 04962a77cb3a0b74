"""Candidates of a teacher and the choice among them: which is taken, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from actors.engine import Classification, ClassifyRequest, GenerateRequest, Generation, RequestError, Sampling
from actors.engines.unsupported import UnsupportedEngine
from pipelines.errors import InputError
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.respond.answer import Respond
from pipelines.operators.respond.best_of_n import ChooseCandidate, SampleCandidates, pick_index
from pipelines.operators.score.reward import Reward
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Operator
from pipelines.rows.types import CandidatesRow, ChosenRow, InstructionRow, Rejection, ResponseRow, RewardRow, Row

WARM = Sampling(temperature=0.8)
SEED = InstructionRow("a" * 32, "", "a" * 32, 3, 0, "seed", "Name a bird.", "In Peru.", "", "", "accepted", 0, 0)
PAIR = ResponseRow("b" * 32, "a" * 32, "a" * 32, 3, "Name a bird.", "In Peru.", "Condor", "stop", 5, 1)
REWARDS = {"Owl": 0.1, "Condor": 0.4, "Crane": 0.4, "": -0.2}
ENDS = ["stop", "stop", "length", "stop"]
DRAWN = CandidatesRow("c" * 32, SEED.id, SEED.id, 3, "Name a bird.", "In Peru.", [*REWARDS], ENDS, 5, [1] * 4)


class Teacher(UnsupportedEngine):
    """Says what a function makes of each request."""

    def __init__(self, says: Callable[[GenerateRequest], str]) -> None:
        self.says, self.asked = says, list[GenerateRequest]()

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return Generation(request.id, self.says(request), "stop", 9, 2)


class Judge(UnsupportedEngine):
    """Gives each answer its reward; refuses those that it does not know."""

    def __init__(self, rewards: dict[str, float]) -> None:
        self.rewards, self.asked = rewards, list[ClassifyRequest]()

    async def classify(self, request: ClassifyRequest) -> Classification:
        self.asked.append(request)
        answer = request.messages[-1][1]
        if answer not in self.rewards:
            raise RequestError("too_long", f"{answer} is too long")
        reward = self.rewards[answer]
        return Classification(request.id, (reward,), ("reward",), reward, 7)


def apply(operator: Operator[Any, Any], row: Row) -> Any:
    return asyncio.run(apply_operator(operator, row, "d" * 32))


def test_the_first_of_the_highest_and_of_the_lowest_rewards_is_picked() -> None:
    assert pick_index([0.1, 0.4, 0.4, -0.2], "best") == 1
    assert pick_index([0.1, 0.4, 0.4, -0.2], "worst") == 3
    assert pick_index([0.2, -0.2, -0.2], "worst") == 1


def test_the_best_candidate_is_taken_with_all_rewards_beside_it() -> None:
    made = apply(ChooseCandidate(Judge(REWARDS), "best"), replace(DRAWN, tokens_out=[4, 5, 6, 0]))
    assert isinstance(made, ChosenRow)
    assert (made.response, made.chosen, made.finish_reason, made.tokens_out) == ("Condor", 1, "stop", 5)
    assert (made.judged, made.rewards) == ([0, 1, 2, 3], [0.1, 0.4, 0.4, -0.2])
    assert (made.parent_id, made.seed_id, made.instruction, made.input) == (
        DRAWN.id,
        SEED.id,
        "Name a bird.",
        "In Peru.",
    )


def test_candidates_are_judged_as_conversations_about_the_instruction_and_its_input() -> None:
    judge = Judge(REWARDS)
    apply(ChooseCandidate(judge, "best"), DRAWN)
    assert sorted(one.messages[1][1] for one in judge.asked) == ["", "Condor", "Crane", "Owl"], "an empty one, too"
    assert {one.messages[0] for one in judge.asked} == {("user", "Name a bird.\nIn Peru.")}
    assert len({one.id for one in judge.asked}) == 4


def test_a_truncated_pick_stays_marked() -> None:
    made = apply(ChooseCandidate(Judge(REWARDS | {"Crane": 9.0}), "best"), DRAWN)
    assert (made.response, made.finish_reason) == ("Crane", "length")


def test_a_row_whose_pick_is_empty_is_rejected_as_an_empty_answer_is() -> None:
    made = apply(ChooseCandidate(Judge(REWARDS), "worst"), DRAWN)
    assert isinstance(made, Rejection) and (made.status, made.reason) == ("rejected", "empty")
    assert made.detail == "candidate 3 of 4 is the worst, and empty"


def test_candidates_that_can_not_be_judged_are_passed_over_and_keep_their_numbers() -> None:
    made = apply(ChooseCandidate(Judge({"Crane": -1.0, "": 0.0, "Owl": float("nan")}), "worst"), DRAWN)
    assert (made.chosen, made.judged, made.rewards) == (2, [2, 3], [-1.0, 0.0])


def test_a_row_of_which_no_candidate_can_be_judged_is_rejected_with_the_reason() -> None:
    made = apply(ChooseCandidate(Judge({}), "best"), DRAWN)
    assert isinstance(made, Rejection) and made.reason == "no_reward" and "Owl is too long" in made.detail


def test_every_candidate_is_drawn_with_its_own_seed_which_belongs_to_the_row() -> None:
    teacher = Teacher(lambda request: f" bird {request.seed} \n")
    made = apply(SampleCandidates(teacher, WARM, 4, 7), SEED)
    assert isinstance(made, CandidatesRow)
    assert len(set(made.candidates)) == 4 and all(text == text.strip() for text in made.candidates)
    assert apply(SampleCandidates(teacher, WARM, 4, 7), SEED) == made
    assert [one.id for one in teacher.asked[:4]] == [row_id("d" * 32, "candidate", number) for number in range(4)]
    assert set(apply(SampleCandidates(teacher, WARM, 4, 8), SEED).candidates).isdisjoint(made.candidates)
    assert (made.parent_id, made.finish_reasons, made.tokens_in, made.tokens_out) == (SEED.id, ["stop"] * 4, 9, [2] * 4)


def test_empty_candidates_are_kept() -> None:
    made = apply(SampleCandidates(Teacher(lambda _: " \n"), WARM, 2, 0), SEED)
    assert made.candidates == ["", ""]


def test_candidates_that_fail_are_left_out_and_a_row_without_any_is_rejected() -> None:
    def half(request: GenerateRequest) -> str:
        if request.id == row_id("d" * 32, "candidate", 1):
            raise RequestError("refused", "not this one")
        return "Owl"

    def none(_: GenerateRequest) -> str:
        raise RequestError("refused", "the server withholds it")

    assert apply(SampleCandidates(Teacher(half), WARM, 3, 0), SEED).candidates == ["Owl", "Owl"]
    made = apply(SampleCandidates(Teacher(none), WARM, 3, 0), SEED)
    assert isinstance(made, Rejection) and made.reason == "no_candidate" and "the server withholds it" in made.detail


def test_a_failure_of_the_machinery_is_no_candidates_fault() -> None:
    def lost(_: GenerateRequest) -> str:
        raise RuntimeError("the engine is lost")

    with pytest.raises(RuntimeError, match="the engine is lost"):
        apply(SampleCandidates(Teacher(lost), WARM, 3, 0), SEED)


def test_an_undone_evolution_is_not_answered_again() -> None:
    teacher = Teacher(lambda _: "Owl")
    made = apply(SampleCandidates(teacher, WARM, 3, 0), replace(SEED, outcome="eliminated:no_gain"))
    assert isinstance(made, Rejection) and made.reason == "not_evolved" and teacher.asked == []


def test_refusals_are_marked_and_kept() -> None:
    assert apply(Respond(Teacher(lambda _: "I cannot say."), Sampling(), 0), SEED).refused
    assert not apply(Respond(Teacher(lambda _: "The condor."), Sampling(), 0), SEED).refused
    declined = replace(DRAWN, candidates=["I cannot say."], finish_reasons=["stop"], tokens_out=[3])
    assert apply(ChooseCandidate(Judge({"I cannot say.": 1.0}), "best"), declined).refused


def test_a_pairs_reward_is_that_of_its_conversation() -> None:
    judge = Judge(REWARDS)
    made = apply(Reward(judge), PAIR)
    assert made == RewardRow("d" * 32, PAIR.id, PAIR.seed_id, 3, 0.4, 7)
    assert judge.asked[0].messages == (("user", "Name a bird.\nIn Peru."), ("assistant", "Condor"))


def test_a_reward_that_is_no_number_is_a_rejection_and_one_that_does_not_fit_a_failure() -> None:
    made = apply(Reward(Judge({"Condor": float("nan")})), PAIR)
    assert isinstance(made, Rejection) and (made.status, made.reason) == ("rejected", "not_finite")
    made = apply(Reward(Judge({})), PAIR)
    assert isinstance(made, Rejection) and (made.status, made.reason) == ("failed", "too_long")


def test_a_model_of_several_logits_needs_one_named_as_the_reward() -> None:
    class Several(UnsupportedEngine):
        async def classify(self, request: ClassifyRequest) -> Classification:
            return Classification(request.id, (1.0, 2.0), ("helpful", "harmless"))

    with pytest.raises(InputError, match=r"2 logits \(0 helpful, 1 harmless\)\. Name .*reward_index: 0"):
        apply(Reward(Several()), PAIR)
