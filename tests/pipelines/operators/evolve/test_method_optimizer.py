"""Auto Evol-Instruct on engines of known behaviour: what is tried, what is kept, when it stops, what it costs."""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import prompts
from actors.engine import GenerateRequest, Generation, RequestError
from pipelines.operators.evolve.candidate_ranking import published_calls
from pipelines.operators.evolve.method_optimizer import AutoEvol
from pipelines.results.report.collect.methods import collect_methods
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, MethodRow, Rejection
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.spec.instructions.evolution import Optimization
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

FINAL = "#Finally Rewritten Instruction#:\n"
SEEDS = [
    InstructionRow(f"{i:032x}", "", f"{i:032x}", i, 0, "seed", f"Say {i}.", "", "", "", "accepted", 0, 0)
    for i in range(80)
]


class Base:
    async def generate(self, request: GenerateRequest) -> Generation:
        return Generation(request.id, self.said(request.messages[-1][1], request), "stop", 9, 4)

    def said(self, prompt: str, request: GenerateRequest) -> str:
        raise NotImplementedError

    async def logprobs(self, request: object) -> Any:
        raise NotImplementedError


@dataclass
class Evolver(Base):
    """Evolves with any method; answers badly one instruction of ten, the fewer the higher the method's level."""

    asked: list[GenerateRequest] = field(default_factory=list)

    def said(self, prompt: str, request: GenerateRequest) -> str:
        self.asked.append(request)
        level = re.search(r"LEVEL (\d+)", prompt)
        if "Instruction:" in prompt:
            instruction = prompt.rpartition("Instruction:")[2].strip()
            return f"#Plan#:\nHarder.\n{FINAL}{instruction} [{level[1] if level else 0}]"
        number = re.search(r"Say (\d+)", prompt)
        luck = int(number[1]) if number else zlib.crc32(prompt.partition("[")[0].encode())
        return "Sure, which one?" if luck % 10 >= int(re.findall(r"\[(\d+)\]", prompt)[-1]) else "Said."


@dataclass
class Optimizer(Base):
    """Says to every draft the next of some replies, round and round."""

    replies: list[str]
    asked: list[GenerateRequest] = field(default_factory=list)

    def said(self, prompt: str, request: GenerateRequest) -> str:
        self.asked.append(request)
        if "Current method:" not in prompt:
            return "Cases 1 and 3 failed: no change."
        return self.replies[
            (len([one for one in self.asked if "Current" in one.messages[-1][1]]) - 1) % len(self.replies)
        ]


def better(level: int) -> str:
    return f"```Optimized Method\nLEVEL {level}. Rewrite.\n{FINAL}\nInstruction: {{instruction}}\n```"


def run(
    replies: list[str], evolver: Any = None, seeds: list[InstructionRow] = SEEDS, **changes: Any
) -> tuple[list[MethodRow], list[Rejection], AutoEvol]:
    spec: dict[str, Any] = {"optimizer": "o", "dev": 40, "batch": 4, "candidates": 2, "steps": 3}
    job = OptimizeParams("e", Optimization(**spec | changes), "copy", 64, 0)
    search = AutoEvol(evolver or Evolver(), Optimizer(replies), job, "f" * 32)
    rows, rejected = asyncio.run(search.run(seeds))
    return rows, rejected, search


def test_better_methods_are_found_step_by_step_and_the_best_is_marked() -> None:
    rows, rejected, _ = run([better(level) for level in (1, 3, 6, 5, 7, 9)])
    assert [(row.step, row.candidate) for row in rows] == [(s, c) for s in (1, 2, 3) for c in (0, 1, 2)]
    assert [row.index for row in rows] == list(range(9)) and len({row.id for row in rows}) == 9
    rates = [round(row.failure_rate, 2) for row in rows]
    assert rates[0] == 1.0 and rates[2] == rates[3] and rates[4] == rates[6]
    assert [row.chosen for row in rows] == [True, False, True, False, True, False, False, False, True]
    (best,) = (row for row in rows if row.best)
    assert "LEVEL 9" in best.method and best.failure_rate < 0.2 and best.unqualified == round(best.failure_rate * 40)
    assert best.parent_id == rows[6].id and rows[6].parent_id == rows[4].id and rows[0].parent_id == ""
    assert {row.seed_id for row in rows} == {rows[0].id} and rejected == []


def test_the_authors_optimizer_writes_after_the_trajectories_and_its_analysis_greedily() -> None:
    for variant, roles in (("paper", ["user"]), ("authors", ["user", "assistant", "user"])):
        optimizer = run([better(4)], steps=1, variant=variant)[2].calls.optimizer
        asked = [one for one in optimizer.asked if "Current" in one.messages[-1][1]]  # type: ignore[attr-defined]
        assert [role for role, _ in asked[0].messages] == roles
        assert asked[0].sampling.temperature == (0.6 if variant == "paper" else 0.0)
    assert "Stage 0: Say" in asked[0].messages[0][1] and asked[0].messages[1][1].startswith("Cases 1 and 3")


def test_it_stops_when_the_failure_rate_falls_no_longer_and_keeps_the_earlier_method() -> None:
    rows, _, _ = run([better(4), better(4), better(3), better(4)])
    assert [row.step for row in rows] == [1, 1, 1, 2, 2, 2]
    (best,) = (row for row in rows if row.best)
    assert (best.step, best.candidate) == (1, 1), "the earlier of two equals"


def test_without_any_improvement_the_first_method_is_the_best() -> None:
    rows, _, search = run([better(0)])
    (best,) = (row for row in rows if row.best)
    assert best.id == search.root_id and best.method == prompts.get("evol_auto").text


def test_the_authors_code_never_stops_early() -> None:
    rows, _, _ = run([better(4)], variant="authors")
    assert [row.step for row in rows if row.candidate == 0] == [1, 2, 3]


def test_the_calls_of_a_whole_run_are_those_of_the_formula() -> None:
    for changes in ({}, {"rounds": 2}, {"candidates": 3, "dev": 7, "batch": 5}):
        _, _, search = run([better(level) for level in range(1, 10)], variant="authors", **changes)
        assert search.calls.published_count() == published_calls(search.spec)
    counted = search.calls.request_counts
    assert counted["auto_evol_analyze"] == counted["auto_evol_optimize"] == 3 * 3


def test_the_optimizer_reads_whole_chains_and_its_own_feedback() -> None:
    _, _, search = run([better(1)], rounds=2, steps=1)
    analysis, optimization = search.calls.optimizer.asked[0], search.calls.optimizer.asked[-1]  # type: ignore[attr-defined]
    cases = re.findall(
        r"Case (\d)\nStage 0: Say (\d+)\.\nStage 1: Say \2\. \[0\]\nStage 2: Say \2\. \[0\] \[0\]",
        analysis.messages[0][1],
    )
    assert [number for number, _ in cases] == ["1", "2", "3", "4"]
    assert (
        "Cases 1 and 3 failed" in optimization.messages[0][1]
        and prompts.get("evol_auto").text in optimization.messages[0][1]
    )


def test_what_the_optimizer_said_without_a_method_is_kept_with_its_reason() -> None:
    rows, rejected, _ = run(["I would not change it.", better(5)], steps=1)
    assert [(one.reason, one.raw, one.status) for one in rejected] == [
        ("no_method_block", "I would not change it.", "rejected")
    ]
    assert rejected[0].detail == "Cases 1 and 3 failed: no change." and rejected[0].parent_id == rows[0].id
    assert [row.candidate for row in rows] == [0, 2] and rows[1].best


def test_drafts_of_a_step_are_drawn_apart_and_the_evolver_is_asked_greedily() -> None:
    _, _, search = run([better(1)], steps=1, candidates=4)
    asked = search.calls.optimizer.asked  # type: ignore[attr-defined]
    assert len({one.seed for one in asked}) == 4 and {one.sampling.temperature for one in asked} == {0.6}
    assert {one.sampling.temperature for one in search.calls.evolver.asked} == {0.0}  # type: ignore[attr-defined]
    assert len({one.id for one in (*asked, *search.calls.evolver.asked)}) == len(asked) + len(
        search.calls.evolver.asked
    )  # type: ignore[attr-defined]


def test_a_row_that_the_engine_refuses_is_no_failure_of_the_method() -> None:
    class Refuses(Evolver):
        def said(self, prompt: str, request: GenerateRequest) -> str:
            if "Say 7." in prompt or "Say 8." in prompt:
                raise RequestError("too_long", "")
            return super().said(prompt, request)

    rows, _, _ = run([better(10)], Refuses(), SEEDS[:20], steps=1, dev=20)
    assert [row.measured for row in rows] == [18, 18, 18] and rows[1].failure_rate == 0.0


def study(**changes: Any) -> Any:
    evolution = {"method": "auto-evol-instruct", "evolvers": ["small"]} | changes
    return scripted_study(evolution=evolution, responses={"teachers": ["large"]}, scoring=None)


class Plain(Base):
    """Evolves and answers; what it was asked last is kept."""

    def said(self, prompt: str, request: GenerateRequest) -> str:
        head, _, instruction = prompt.rpartition("Instruction:")
        return f"{FINAL}{instruction.strip()} {'Well' if 'LEVEL' in head else 'More'}." if head else "Sure, what?"


def test_the_whole_set_is_evolved_with_the_best_method(tmp_path: Path) -> None:
    class Learns(Plain):
        def said(self, prompt: str, request: GenerateRequest) -> str:
            return "Done." if "Well." in prompt and "Instruction:" not in prompt else super().said(prompt, request)

    store = Store(str(tmp_path))
    optimization = {"optimizer": "large", "steps": 2, "candidates": 1, "dev": 5, "batch": 2}
    grid = run_offline(study(optimization=optimization), store, {"small": Learns(), "large": Optimizer([better(2)])})
    (step,) = (step for step in grid.steps.values() if step.kind == "evolve")
    rows = from_table(InstructionRow, store.rows("evolve", step.key))
    assert len(rows) == 20 and all(row.instruction.endswith("Well.") and row.method == "auto" for row in rows)
    found = store.manifest("optimize", step.inputs[1].key)
    assert found.account.rows_out == 4 and found.extra["published_calls"] == 2 * (2 * 5 * 2 + 2 + 2)


def test_the_first_method_can_be_used_as_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    grid = run_offline(study(), store, {"small": Plain()})
    (step,) = (step for step in grid.steps.values() if step.kind == "evolve")
    rows = from_table(InstructionRow, store.rows("evolve", step.key))
    assert len(rows) == 20 and all(row.instruction.endswith("More.") for row in rows)


def test_the_report_has_every_candidate_with_its_rate_and_what_the_optimizer_said(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    optimization = {"optimizer": "large", "steps": 2, "candidates": 2, "dev": 5, "batch": 2}
    engines = {"small": Plain(), "large": Optimizer(["Nothing to do.", better(1)])}
    grid = run_offline(study(optimization=optimization), store, engines)
    found = list(collect_methods(store, grid, store.finished_keys()))
    assert [(one.step, one.candidate, one.outcome) for one in found] == [
        (1, 0, "accepted"),
        (1, 1, "rejected:no_method_block"),
        (1, 2, "accepted"),
    ]
    assert [one.failure_rate for one in found] == [100.0, None, 100.0]
    assert found[0].best and found[0].failures == (("unqualified", 5),) and found[1].reply == "Nothing to do."
    assert (found[0].seeds, found[0].evolver, found[0].optimizer) == ("world", "small", "large")
    counted = {(one.model, one.role): one for one in Outcomes(store, grid, store.finished_keys()).reply_outcomes()}
    assert (
        counted["large", "optimizer"].rows == 1 and counted["large", "optimizer"].outcome == "rejected:no_method_block"
    )


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(store.root).glob("steps/optimize/*/*.parquet")}


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_an_optimization_that_dies_goes_on_with_its_next_step_and_ends_the_same(tmp_path: Path, dies_at: int) -> None:
    class Drafts(Base):
        """Proposes a better method than the one in the prompt, at every step. It can crash at one step."""

        def __init__(self, dies_at: int = 0) -> None:
            self.dies_at, self.steps = dies_at, set[int]()

        def said(self, prompt: str, request: GenerateRequest) -> str:
            if "Current method:" not in prompt:
                return "Case 1 failed."
            found = re.search(r"LEVEL (\d+)", prompt.partition("Current method:")[2])
            step = int(found[1]) // 3 + 1 if found else 1
            if step == self.dies_at:
                raise ConnectionError("gone")
            self.steps.add(step)
            return better(3 * step)

    optimization = {"optimizer": "large", "steps": 3, "candidates": 2, "dev": 10, "batch": 2}
    stores = [Store(str(tmp_path / name)) for name in ("died", "whole")]
    with pytest.raises(ConnectionError):
        run_offline(study(optimization=optimization), stores[0], {"small": Evolver(), "large": Drafts(dies_at)})
    resumed = Drafts()
    run_offline(study(optimization=optimization), stores[0], {"small": Evolver(), "large": resumed})
    run_offline(study(optimization=optimization), stores[1], {"small": Evolver(), "large": Drafts()})
    assert resumed.steps == set(range(dies_at, 4))
    assert contents(stores[0]) == contents(stores[1])
