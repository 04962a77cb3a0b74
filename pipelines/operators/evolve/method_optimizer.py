"""Auto Evol-Instruct: an optimizer model reads trajectories of a method and improves it (2406.00770, section 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from actors.engine import Client, RequestError
from pipelines.operators.evolve.candidate_ranking import CandidateScore, DevResult, measure, select_best
from pipelines.operators.evolve.evol_instruct import instruction_with_input
from pipelines.operators.evolve.failure_detector import CLASSES
from pipelines.operators.evolve.minibatches import Minibatches
from pipelines.operators.evolve.optimizer_client import OptimizationClient
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Rejected
from pipelines.rows.text import Message
from pipelines.rows.types import InstructionRow, MethodRow, Rejection
from pipelines.study.graph.steps.methods import AUTO, prompt_name
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from prompts import STANDARD_CATALOG, Catalog


@dataclass(frozen=True, slots=True)
class CandidateMethod:
    """A method that has not been measured yet, with the optimizer's replies that produced it."""

    id: str
    parent_id: str
    step: int
    candidate: int
    method: str
    feedback: str = ""
    raw: str = ""
    outcome: str = "accepted"


class AutoEvol:
    """Optimizes a method for one evolver. `on_step` is called after every step with the step's number."""

    def __init__(
        self,
        evolver: Client,
        optimizer: Client,
        params: OptimizeParams,
        key: str,
        on_step: Callable[[int], None] = lambda step: None,
        catalog: Catalog = STANDARD_CATALOG,
    ) -> None:
        self.calls = OptimizationClient(evolver, optimizer, params, catalog)
        self.params, self.spec, self.key, self.on_step = params, params.optimization, key, on_step
        self.root_id = row_id("", key)
        self.rows: list[MethodRow] = []
        self.rejected: list[Rejection] = []

    async def run(self, seeds: Sequence[InstructionRow]) -> tuple[list[MethodRow], list[Rejection]]:
        """Return all measured methods, with the best one marked, and the optimizer's replies without a method."""
        rows = [replace(row, turn=self.params.turn) for row in seeds]
        rows = [instruction_with_input(row) for row in rows] if self.params.input == "merge" else rows
        minibatches = Minibatches(rows, self.spec, self.params.seed)
        best, step = CandidateMethod(self.root_id, "", 1, 0, self.calls.catalog.get(prompt_name(AUTO)).text), 1
        while step and step <= self.spec.steps:
            better = await self.optimize_step(best if step == 1 else self.reevaluate(best, step), minibatches)
            self.on_step(step)
            best, step = better or best, self.next_step(step, better is not None)
        return [replace(row, best=row.id == best.id) for row in self.rows], self.rejected

    def next_step(self, step: int, better: bool) -> int:
        """Return the number of the next step, or 0 to stop because the failure rate no longer decreases."""
        return step + 1 if better or self.spec.variant == "authors" else 0

    async def optimize_step(self, current: CandidateMethod, minibatches: Minibatches) -> CandidateMethod | None:
        """Run one step; return the candidate that replaces the current method, or None if the method is kept."""
        dev_set = minibatches.dev_set(current.step)
        chains = await self.render_trajectories(current, minibatches.batch(current.step))
        proposals = (
            self.propose_candidate(current, number, chains, dev_set) for number in range(1, self.spec.candidates + 1)
        )
        current_score, candidates_or_none = await asyncio.gather(
            self.measure_method(current, dev_set), asyncio.gather(*proposals)
        )
        candidates = [one for one in candidates_or_none if one is not None]
        winner = select_best([measured for _, measured in candidates], current_score, self.spec.variant)
        self.record(current, current_score, chosen=current.id == self.root_id)
        for index, (draft, measured) in enumerate(candidates):
            self.record(draft, measured, chosen=index == winner)
        return None if winner is None else candidates[winner][0]

    async def render_trajectories(self, current: CandidateMethod, batch: Sequence[InstructionRow]) -> str:
        """Evolve a mini-batch with the current method and return its chains as text for the optimizer's prompt."""
        chains = await asyncio.gather(*(self.evolve_chain(current, row) for row in batch))
        return "\n\n".join(f"Case {number}\n{chain}" for number, chain in enumerate(chains, 1))

    async def evolve_chain(self, current: CandidateMethod, row: InstructionRow) -> str:
        """Evolve a seed through all rounds and return the chain as text. Stop if a stage yields no instruction."""
        stages = [row.evolved]
        for number in range(1, self.spec.rounds + 1):
            request = f"{current.id}-{row.id}-stage-{number}"
            evolved = await self.evolve_once(current.method, stages[-1], request)
            stages.append(evolved or "(nothing that could be read)")
            if evolved is None:
                break
        return "\n".join(f"Stage {number}: {text}" for number, text in enumerate(stages))

    async def evolve_once(self, method: str, instruction: str, request: str) -> str | None:
        """Run one stage of a chain; return None if there was no reply or no instruction in it."""
        try:
            return await self.calls.evolve(method, instruction, request, "trajectory")
        except RequestError:
            return None

    async def propose_candidate(
        self, current: CandidateMethod, number: int, stages: str, dev: Sequence[InstructionRow]
    ) -> tuple[CandidateMethod, CandidateScore] | None:
        """Create and measure one candidate; return None if the optimizer's replies contain no method."""
        index = self.method_number(current.step, number)
        method_id, feedback = row_id(current.id, self.key, index), ""
        try:
            feedback, _ = await self.calls.ask_optimizer(method_id, "auto_evol_analyze", trajectories=stages)
            before = self.analysis_turns(stages, feedback) if self.spec.variant == "authors" else ()
            raw, reply = await self.calls.ask_optimizer(
                method_id, "auto_evol_optimize", before, feedback=feedback, method=current.method
            )
        except Rejected as why:
            self.record_rejection(method_id, current.id, index, "rejected", why.reason, feedback, why.raw)
            return None
        except RequestError as why:
            self.record_rejection(method_id, current.id, index, "failed", why.reason, feedback, "")
            return None
        draft = CandidateMethod(
            method_id, current.id, current.step, number, reply.value or "", feedback, raw, reply.outcome
        )
        return draft, await self.measure_method(draft, dev)

    def analysis_turns(self, stages: str, feedback: str) -> tuple[Message, ...]:
        """Return the analysis as turns: in the authors' code the optimizer writes with the trajectories in sight."""
        asked = self.calls.catalog.get("auto_evol_analyze").render(trajectories=stages)
        return ("user", asked), ("assistant", feedback)

    async def measure_method(self, draft: CandidateMethod, dev: Sequence[InstructionRow]) -> CandidateScore:
        """Measure a method on the dev set. Rows whose requests the engine rejects are not counted."""
        trials = await asyncio.gather(*(self.evaluate_candidate(draft, row) for row in dev))
        return measure([one for one in trials if one], self.spec.variant)

    async def evaluate_candidate(self, draft: CandidateMethod, row: InstructionRow) -> DevResult | None:
        """Have the evolver evolve one dev row and answer it; return None if the engine rejects a request."""
        request = f"{draft.id}-{row.id}"
        try:
            evolved = await self.calls.evolve(draft.method, row.evolved, f"{request}-evolve", "evolve")
            if evolved is None:
                return DevResult(None)
            return DevResult(evolved, await self.calls.answer(row.with_evolved(evolved), f"{request}-answer"))
        except RequestError:
            return None

    def reevaluate(self, best: CandidateMethod, step: int) -> CandidateMethod:
        """Return the best method so far as candidate 0 of a step, so that the step measures it again."""
        return CandidateMethod(row_id(best.id, self.key, self.method_number(step, 0)), best.id, step, 0, best.method)

    def method_number(self, step: int, candidate: int) -> int:
        """Return the number of a method among the methods of all steps."""
        return (step - 1) * (self.spec.candidates + 1) + candidate

    def record(self, draft: CandidateMethod, measured: CandidateScore, chosen: bool) -> None:
        """Add a method and its measurements to the rows."""
        failures = {name: measured.failures[name] for name in CLASSES}
        self.rows.append(
            MethodRow(
                id=draft.id,
                parent_id=draft.parent_id,
                seed_id=self.root_id,
                index=self.method_number(draft.step, draft.candidate),
                step=draft.step,
                candidate=draft.candidate,
                method=draft.method,
                feedback=draft.feedback,
                raw=draft.raw,
                outcome=draft.outcome,
                measured=measured.trials,
                failure_rate=measured.failure_rate,
                score=measured.score,
                chosen=chosen,
                best=False,
                **failures,
            )
        )

    def record_rejection(
        self, method_id: str, parent: str, index: int, status: str, reason: str, detail: str, raw: str
    ) -> None:
        """Add an optimizer's reply without a method to the rejections."""
        self.rejected.append(Rejection(method_id, parent, self.root_id, index, status, reason, detail, raw))
