"""Rows at the end of a conversation: every operator sees what it needs of it, and none loses a part of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import prompts
from actors.engine import Classification, ClassifyRequest, EngineSpec, GenerateRequest, Generation, Sampling
from actors.engines.scripted_engine import ScriptedEngine
from actors.engines.unsupported import UnsupportedEngine
from pipelines.cli.views.row import row_facts
from pipelines.operators.evolve.elimination import Eliminate
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.evolve.method_optimizer import AutoEvol
from pipelines.operators.respond.answer import Respond, answer_prompt
from pipelines.operators.respond.best_of_n import ChooseCandidate, SampleCandidates
from pipelines.operators.score.instruction_judge import JudgeInstruction
from pipelines.operators.score.instruction_reward import InstructionReward
from pipelines.operators.score.perplexity import logprob_request
from pipelines.operators.score.reward import Reward
from pipelines.operators.select.select import select_pairs
from pipelines.rows.operator import Operator
from pipelines.rows.text import conversation, shown_conversation
from pipelines.rows.types import CandidatesRow, InstructionRow, PairedRow, ResponseRow
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.instructions.evolution import Elimination, Optimization
from pipelines.study.spec.pairs.scoring import ScoringOptions
from pipelines.study.spec.pairs.selection import Selection
from tests.support.studies import evolve_job

SYSTEM, HISTORY = "Answer in French.", ["Name a bird.", "Un condor.", "And a fish?", "Une truite."]
SEED = InstructionRow(
    "a" * 32, "", "a" * 32, 3, 0, "seed", "Name its river.", "In Peru.", "", "", "accepted", 0, 0,
    system=SYSTEM, history=HISTORY,
)  # fmt: skip
BEFORE = (("system", SYSTEM), *zip(("user", "assistant") * 2, HISTORY, strict=True))
ANSWER = ResponseRow(
    "b" * 32, SEED.id, SEED.id, 3, SEED.instruction, SEED.input, "L'Urubamba.", "stop", 9, 3,
    system=SYSTEM, history=HISTORY,
)  # fmt: skip


class Model(UnsupportedEngine):
    """Says one text after another, and rewards every answer."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[Any] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return Generation(request.id, self.texts.pop(0) if len(self.texts) > 1 else self.texts[0], "stop", 9, 4)

    async def classify(self, request: ClassifyRequest) -> Classification:
        self.asked.append(request)
        return Classification(request.id, (0.5,), ("reward",), 0.5, 7)


def apply(operator: Operator[Any, Any], row: Any) -> Any:
    return asyncio.run(operator(row, "d" * 32))


def evolve(model: Model, row: InstructionRow = SEED, **job: Any) -> InstructionRow:
    return apply(Evolve(model, evolve_job(**job), Sampling(), 0), row)


def test_the_instruction_is_rewritten_and_the_rest_of_the_conversation_is_kept() -> None:
    model = Model("Name its two rivers.")
    made = evolve(model)
    assert (made.instruction, made.before, made.input) == ("Name its two rivers.", SEED.instruction, SEED.input)
    assert (made.system, made.history) == (SYSTEM, HISTORY)
    assert [role for role, _ in model.asked[0].messages] == ["user"] and "a bird" not in model.asked[0].messages[0][1]


def test_the_first_turn_is_rewritten_by_a_switch() -> None:
    model = Model("Name a rare bird.")
    made = evolve(model, turn="first", input="merge")
    assert (made.history, made.before) == (["Name a rare bird.", *HISTORY[1:]], "Name a bird.")
    assert (made.instruction, made.input, made.system) == (SEED.instruction, SEED.input, SYSTEM)
    assert "Name a bird." in model.asked[0].messages[0][1] and SEED.instruction not in model.asked[0].messages[0][1]
    again = evolve(Model("Name a very rare bird."), made, turn="first", round=2)
    assert (again.before, again.history[0]) == ("Name a rare bird.", "Name a very rare bird.")


def test_the_first_turn_of_a_row_without_history_is_its_instruction() -> None:
    plain = replace(SEED, history=[])
    by_turn = [evolve(Model("Name its two rivers."), plain, turn=turn) for turn in ("first", "last")]
    assert by_turn[0] == replace(by_turn[1], turn="first")


@pytest.mark.parametrize(
    ("turn", "asked"),
    [
        ("last", (*BEFORE, ("user", answer_prompt("Name 2.", SEED.input)))),
        ("first", (BEFORE[0], ("user", answer_prompt("Name 2.", "")))),
    ],
)
def test_an_evolution_is_answered_in_its_place_and_undone_there(turn: str, asked: object) -> None:
    model = Model("Name 2.", "Sorry.")
    made = evolve(model, turn=turn, eliminates=True)
    assert model.asked[1].messages == asked
    undone = apply(Eliminate(Model(""), Elimination()), made)
    assert undone.outcome == "eliminated:hard_to_answer"
    assert (undone.instruction, undone.history) == (SEED.instruction, HISTORY)
    judge = Model("not equal")
    apply(Eliminate(judge, Elimination()), replace(made, answer="It is 7."))
    assert judge.asked[0].messages[0][1] == prompts.get("equality").render(first=made.before, second="Name 2.")


@pytest.mark.parametrize("turn", ["last", "first"])
def test_a_method_is_optimized_on_the_turn_that_is_evolved(turn: Any) -> None:
    evolver, optimizer = Model("#Finally Rewritten Instruction#:\nName 2."), Model("no method")
    spec = Optimization(optimizer="o", dev=1, batch=1, candidates=1, steps=1)
    search = AutoEvol(evolver, optimizer, OptimizeParams("e", spec, "copy", 64, 0, turn), "f" * 32)
    asyncio.run(search.run([SEED]))
    text = SEED.instruction if turn == "last" else HISTORY[0]
    rewritten = [request.messages for request in evolver.asked if len(request.messages) == 1]
    assert len(rewritten) == 2 and all(text in messages[0][1] for messages in rewritten)
    assert text in optimizer.asked[0].messages[0][1]
    (answered,) = (request.messages for request in evolver.asked if len(request.messages) > 1)
    end = answer_prompt("Name 2.", SEED.input if turn == "last" else "")
    assert answered == (*(BEFORE if turn == "last" else BEFORE[:1]), ("user", end))


def test_the_judges_of_instructions_read_the_turn_that_is_evolved() -> None:
    judge, reward = Model("hard"), Model()
    evolved = replace(evolve(Model("Name a rare bird."), turn="first"), method="deepen")
    apply(JudgeInstruction(judge, "difficulty", 9), evolved)
    assert judge.asked[0].messages == (("user", prompts.get("difficulty").render(instruction="Name a rare bird.")),)
    apply(InstructionReward(reward), evolved)
    asked = prompts.get("evol_deepen").render(instruction="Name a bird.")
    assert reward.asked[0].messages == (("user", asked), ("assistant", "Name a rare bird."))


def test_teachers_answer_the_whole_conversation() -> None:
    teacher = Model("L'Urubamba.")
    made = apply(Respond(teacher, Sampling(), 0), SEED)
    drawn = apply(SampleCandidates(teacher, Sampling(), 2, 0), SEED)
    messages = (*BEFORE, ("user", answer_prompt(SEED.instruction, SEED.input)))
    assert [request.messages for request in teacher.asked] == [messages] * 3
    assert (made.system, made.history) == (drawn.system, drawn.history) == (SYSTEM, HISTORY)


def test_a_query_with_a_constraint_is_answered_after_its_conversation() -> None:
    fields: dict[str, Any] = vars(SEED) | {"before": SEED.instruction}
    teacher = Model("L'Urubamba.")
    apply(Respond(teacher, Sampling(), 0), PairedRow(**fields, constraint="Use no commas.", functions=[]))
    assert teacher.asked[0].messages[:-1] == BEFORE and "Use no commas." in teacher.asked[0].messages[-1][1]


def test_rewards_are_of_the_whole_conversation() -> None:
    model = Model()
    apply(Reward(model), ANSWER)
    drawn = CandidatesRow(
        "c" * 32, SEED.id, SEED.id, 3, SEED.instruction, SEED.input, ["L'Urubamba."], ["stop"], 9, [3],
        system=SYSTEM, history=HISTORY,
    )  # fmt: skip
    chosen = apply(ChooseCandidate(model, "best"), drawn)
    asked = (*BEFORE, ("user", "Name its river.\nIn Peru."), ("assistant", "L'Urubamba."))
    assert [request.messages for request in model.asked] == [asked] * 2
    assert (chosen.system, chosen.history) == (SYSTEM, HISTORY)


@pytest.mark.parametrize("options", [{}, {"boundary": "question"}, {"form": "chat"}, {"form": "cherry"}])
def test_scores_are_of_the_instruction_and_the_answer_after_the_conversation(options: dict[str, Any]) -> None:
    plain = logprob_request(replace(ANSWER, system="", history=[]), "x", ScoringOptions(**options))
    request = logprob_request(ANSWER, "x", ScoringOptions(**options))
    assert request == replace(plain, before=BEFORE) and plain.before == ()
    engine = ScriptedEngine(EngineSpec("scripted", "scorer"))
    alone, after = (asyncio.run(engine.logprobs(one)) for one in (plain, request))
    assert after.lengths == alone.lengths and after.alone == alone.alone
    known = [value is not None for value in after.logprobs]
    assert known == [False] * (after.boundary - alone.boundary) + [True] * len(alone.logprobs)


def test_a_selected_pair_keeps_its_conversation() -> None:
    (pair,), _ = select_pairs([replace(ANSWER, thoughts="A river.")], {}, Selection(name="all"), 0, "k")
    assert (pair.system, pair.history, pair.thoughts) == (SYSTEM, HISTORY, "A river.")
    assert conversation(pair, pair.response) == conversation(ANSWER, ANSWER.response)


def test_a_conversation_is_shown_with_its_roles_and_a_lone_turn_without() -> None:
    assert shown_conversation(replace(SEED, system="", history=[])) == "Name its river.\nIn Peru."
    assert shown_conversation(replace(SEED, history=HISTORY[:2])) == (
        "[system] Answer in French.\n\n[user] Name a bird.\n\n[assistant] Un condor.\n\n"
        "[user] Name its river.\nIn Peru."
    )
    facts = [*row_facts(Step("seeds", "seeds", "key", {}, (), None), SEED)]  # type: ignore[arg-type]
    assert facts == [*BEFORE, ("instruction", SEED.instruction), ("input", SEED.input)]
