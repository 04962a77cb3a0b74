"""A system prompt of a role precedes the messages of its requests; a row's own system text follows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.engine import Sampling
from pipelines.errors import InputError
from pipelines.evaluate.suite import answer_benchmark
from pipelines.operators.autoif.augment import read_instructions
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.evolve.optimizer_client import OptimizationClient
from pipelines.operators.respond.answer import Respond
from pipelines.operators.respond.best_of_n import SampleCandidates
from pipelines.operators.score.instruction_judge import JudgeInstruction
from pipelines.rows.text import with_system
from pipelines.rows.types import InstructionRow
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.common.basics import PromptFile
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Optimization
from tests.pipelines.evaluate.conftest import Told
from tests.support.studies import STUDENTS, evolve_job, scripted_study

SEED = InstructionRow("a" * 32, "", "a" * 32, 3, 0, "seed", "Name a bird.", "", "", "", "accepted", 0, 0)


@pytest.mark.parametrize(
    "operator",
    [
        lambda model: Evolve(model, evolve_job(system="Be kind."), Sampling(), 0),
        lambda model: Respond(model, Sampling(), 0, "Be kind."),
        lambda model: SampleCandidates(model, Sampling(), 2, 0, "Be kind."),
        lambda model: JudgeInstruction(model, "difficulty", 9, "Be kind."),
    ],
)
def test_the_requests_of_a_role_begin_with_its_system_prompt(operator: Any) -> None:
    model = Told(lambda _: "hard")
    asyncio.run(operator(model)(SEED, "c" * 32))
    assert model.asked
    assert {(one.messages[0], one.messages[1][0], len(one.messages)) for one in model.asked} == {
        (("system", "Be kind."), "user", 2)
    }


def test_the_system_text_of_a_row_follows_that_of_the_teacher_and_alone_stays_with_the_answer() -> None:
    model = Told(lambda _: "hard")
    made = asyncio.run(Respond(model, Sampling(), 0, "Be kind.")(replace(SEED, system="You are a bird."), "c" * 32))
    assert model.asked[0].messages[0] == ("system", "Be kind.\n\nYou are a bird.")
    assert made.system == "You are a bird."


def test_a_method_is_measured_under_the_evolvers_system_prompt() -> None:
    evolver, optimizer = Told(lambda _: "hard"), Told(lambda _: "hard")
    params = OptimizeParams("e", Optimization(optimizer="o"), "copy", 9, 0, system="Be kind.")
    calls = OptimizationClient(evolver, optimizer, params)
    asyncio.run(calls.evolve("Do {instruction}", "it", "r", "evolve"))
    asyncio.run(calls.answer(SEED, "r2"))
    assert [one.messages[0][0] for one in evolver.asked] == ["system", "user"]


def test_the_items_of_a_benchmark_are_asked_under_its_system_prompt(tmp_path: Path) -> None:
    model = Told(lambda _: "hard")
    bench = Benchmark.model_validate({"name": "w", "world": {"count": 2}, "system": "Be kind."})
    rows, _ = asyncio.run(answer_benchmark(model, bench, tmp_path, 0, "k"))
    assert [one.messages[0] for one in model.asked] == [("system", "Be kind.")] * 2
    assert all("Be kind." in row.messages for row in rows)


def test_the_writer_of_formats_is_asked_under_the_evolvers_system_prompt() -> None:
    model = Told(lambda _: "- One.")
    asyncio.run(RepeatedSampler(model, Sampling(), 0, "Be kind.")("p", read_instructions, "n", "x", 2))
    assert [one.messages for one in model.asked] == [(("system", "Be kind."), ("user", "p"))] * 2


def test_messages_without_a_system_prompt_stay_as_they_are() -> None:
    messages = (("system", "a"), ("user", "b"))
    assert with_system(messages, "") is messages
    assert with_system((), "x") == (("system", "x"),)


def test_a_prompt_in_a_file_is_the_same_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "kind.txt").write_text("Be kind.\n")

    def keys(system: Any) -> set[str]:
        study = scripted_study(
            **STUDENTS
            | {
                "evolution": {"evolvers": ["small"], "system": system},
                "responses": {"teachers": ["large"], "system": system},
                "judging": {"judge": "large", "system": system},
                "benchmarks": [{"name": "w", "world": {"count": 2}, "system": system}],
            }
        )
        return {*build(study, tmp_path).steps}

    assert keys("Be kind.") == keys({"file": "kind.txt"})
    assert keys("Be kind.") & keys("Be strict.") == keys("Be kind.") & keys(None)


@pytest.mark.parametrize(
    ("given", "message"),
    [(PromptFile(file="none.txt"), "no such file"), (PromptFile(file="empty.txt"), "empty"), (" ", "empty")],
)
def test_a_prompt_without_text_is_refused(tmp_path: Path, given: Any, message: str) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match=message):
        read_system_prompt(tmp_path, given)
