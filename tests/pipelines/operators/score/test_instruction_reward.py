"""Evolved instructions are judged as answers to the prompts that asked for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import prompts
from actors.engine import ClassifyRequest, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.operators.score.instruction_reward import InstructionReward
from pipelines.results.report.collect.score_distributions import ScoreDistributions
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import Rejected
from pipelines.rows.types import InstructionRow, JudgementRow
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.methods import AUTO, prompt_name
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

EVOLUTION = {"evolvers": ["small"], "rounds": 2}


def evolved(**changes: Any) -> InstructionRow:
    made: dict[str, Any] = {
        "id": "a" * 32,
        "parent_id": "b",
        "seed_id": "c",
        "index": 0,
        "round": 1,
        "method": "deepen",
        "instruction": "Count and name them.",
        "input": "",
        "reference": "",
        "raw": "",
        "outcome": "accepted",
        "tokens_in": 1,
        "tokens_out": 1,
        "before": "Count them.",
    }
    return InstructionRow(**made | changes)


def reward_of(question: str, answer: str) -> float:
    """What the scripted model gives to a conversation."""
    engine = ScriptedEngine(EngineSpec("scripted", "judge"))
    request = ClassifyRequest("x", messages=(("user", question), ("assistant", answer)))
    found = asyncio.run(engine.classify(request)).reward
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("method", "optimized", "question"),
    [
        ("deepen", "", prompts.get(prompt_name("deepen")).render(instruction="Count them.")),
        (AUTO, "Better: {instruction}", "Better: Count them."),
    ],
)
def test_the_question_is_the_prompt_of_the_instruction_before(method: str, optimized: str, question: str) -> None:
    judge = InstructionReward(ScriptedEngine(EngineSpec("scripted", "judge")), optimized)
    row = asyncio.run(judge(evolved(method=method), "d" * 32))
    assert row.scores == [reward_of(question, "Count and name them.")] and row.parent_id == "a" * 32


def test_an_evolution_that_was_undone_is_not_judged() -> None:
    judge = InstructionReward(ScriptedEngine(EngineSpec("scripted", "judge")))
    with pytest.raises(Rejected, match="not_evolved"):
        asyncio.run(judge(evolved(outcome="eliminated:no_gain"), "d" * 32))


def test_all_evolved_instructions_of_a_study_have_rewards_and_the_report_has_their_means(tmp_path: Path) -> None:
    study = scripted_study(instruction_reward="scorer", evolution=EVOLUTION, responses={"teachers": ["small"]})
    store = Store(str(tmp_path))
    grid = run_offline(study, store)
    steps = [step for step in grid.steps.values() if step.kind == "judge"]
    assert [step.label for step in steps] == ["judge reward of world small r1", "judge reward of world small r2"]
    shown = [
        one for one in ScoreDistributions(store, grid, store.finished_keys(), 0).judgements() if one.metric == "reward"
    ]
    for step, one in zip(steps, shown, strict=True):
        rows = from_table(JudgementRow, store.rows(step.kind, step.key))
        assert one.rows == len(rows) == 20 and one.unread == 0
        assert one.mean == pytest.approx(sum(row.scores[0] for row in rows) / 20)


def test_rewards_by_an_optimized_method_wait_for_it() -> None:
    auto = {"method": "auto-evol-instruct", "evolvers": ["small"], "optimization": {"optimizer": "large"}}
    steps = build(scripted_study(instruction_reward="scorer", evolution=auto), Path()).steps.values()
    (step,) = (step for step in steps if step.kind == "judge")
    assert [source.kind for source in step.inputs] == ["evolve", "optimize"]
