"""Auto Evol-Instruct: a method of evolution is improved by reading how its evolutions went (2406.00770, section 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import prompts
from actors.engine import Client, RequestError
from pipelines.operators.evolve.candidate_ranking import Measured, Trial, choose, measure
from pipelines.operators.evolve.evol_instruct import merged
from pipelines.operators.evolve.failure_detector import CLASSES
from pipelines.operators.evolve.minibatches import Samples
from pipelines.operators.evolve.optimizer_client import Calls
from pipelines.rows.ids import row_id
from pipelines.rows.operator import Rejected
from pipelines.rows.types import InstructionRow, MethodRow, Rejection
from pipelines.study.graph.methods import AUTO, prompt_name
from pipelines.study.graph.params import OptimizeJob


@dataclass(frozen=True, slots=True)
class Draft:
    """A method before it is measured, with the optimizer's replies that it came from."""

    id: str
    parent_id: str
    step: int
    candidate: int
    method: str
    feedback: str = ""
    raw: str = ""
    outcome: str = "accepted"


class AutoEvol:
    """One optimization of a method for one evolver. `finished` is called after every step with its number."""

    def __init__(
        self,
        evolver: Client,
        optimizer: Client,
        job: OptimizeJob,
        key: str,
        finished: Callable[[int], None] = lambda step: None,
    ) -> None:
        self.calls = Calls(evolver, optimizer, job)
        self.job, self.spec, self.key, self.finished = job, job.optimization, key, finished
        self.first = row_id("", key)
        self.rows: list[MethodRow] = []
        self.rejected: list[Rejection] = []

    async def run(self, seeds: Sequence[InstructionRow]) -> tuple[list[MethodRow], list[Rejection]]:
        """Every method that was measured, the best one marked, and the replies that held no method."""
        rows = [merged(row) for row in seeds] if self.job.input == "merge" else seeds
        samples = Samples(rows, self.spec, self.job.seed)
        best, step = Draft(self.first, "", 1, 0, prompts.get(prompt_name(AUTO)).text), 1
        while step and step <= self.spec.steps:
            better = await self.step(best if step == 1 else self.again(best, step), samples)
            self.finished(step)
            best, step = better or best, self.following(step, better is not None)
        return [replace(row, best=row.id == best.id) for row in self.rows], self.rejected

    def following(self, step: int, better: bool) -> int:
        """The step after this one; 0 if there is none, because the failure rate falls no longer."""
        return step + 1 if better or self.spec.variant == "authors" else 0

    async def step(self, current: Draft, samples: Samples) -> Draft | None:
        """The candidate that replaces the current method, if one does."""
        dev = samples.dev(current.step)
        stages = await self.trajectories(current, samples.batch(current.step))
        drafts = (self.drafted(current, number, stages, dev) for number in range(1, self.spec.candidates + 1))
        now, found = await asyncio.gather(self.measured(current, dev), asyncio.gather(*drafts))
        candidates = [one for one in found if one is not None]
        winner = choose([measured for _, measured in candidates], now, self.spec.variant)
        self.record(current, now, chosen=current.id == self.first)
        for index, (draft, measured) in enumerate(candidates):
            self.record(draft, measured, chosen=index == winner)
        return None if winner is None else candidates[winner][0]

    async def trajectories(self, current: Draft, batch: Sequence[InstructionRow]) -> str:
        """The chains of a mini-batch under the current method, as the optimizer reads them."""
        chains = await asyncio.gather(*(self.chain(current, row) for row in batch))
        return "\n\n".join(f"Case {number}\n{chain}" for number, chain in enumerate(chains, 1))

    async def chain(self, current: Draft, row: InstructionRow) -> str:
        """A seed through the rounds; it ends early where there is no instruction to go on with."""
        stages = [row.instruction]
        for number in range(1, self.spec.rounds + 1):
            request = f"{current.id}-{row.id}-stage-{number}"
            evolved = await self.evolved(current.method, stages[-1], request)
            stages.append(evolved or "(nothing that could be read)")
            if evolved is None:
                break
        return "\n".join(f"Stage {number}: {text}" for number, text in enumerate(stages))

    async def evolved(self, method: str, instruction: str, request: str) -> str | None:
        """One stage of a chain; None if there was no reply, or no instruction in it."""
        try:
            return await self.calls.evolve(method, instruction, request, "trajectory")
        except RequestError:
            return None

    async def drafted(
        self, current: Draft, number: int, stages: str, dev: Sequence[InstructionRow]
    ) -> tuple[Draft, Measured] | None:
        """One candidate, measured; None if the optimizer's replies held no method."""
        index = self.number(current.step, number)
        made, feedback = row_id(current.id, self.key, index), ""
        try:
            feedback, _ = await self.calls.ask_optimizer(made, "auto_evol_analyze", trajectories=stages)
            asked = {"feedback": feedback, "method": current.method}
            raw, reply = await self.calls.ask_optimizer(made, "auto_evol_optimize", **asked)
        except Rejected as why:
            self.reject(made, current.id, index, "rejected", why.reason, feedback, why.raw)
            return None
        except RequestError as why:
            self.reject(made, current.id, index, "failed", why.reason, feedback, "")
            return None
        draft = Draft(made, current.id, current.step, number, reply.value or "", feedback, raw, reply.outcome)
        return draft, await self.measured(draft, dev)

    async def measured(self, draft: Draft, dev: Sequence[InstructionRow]) -> Measured:
        """How a method does on the dev set; rows that the engine could not take do not count."""
        trials = await asyncio.gather(*(self.trial(draft, row) for row in dev))
        return measure([one for one in trials if one], self.spec.variant)

    async def trial(self, draft: Draft, row: InstructionRow) -> Trial | None:
        """One dev row evolved and answered by the evolver."""
        request = f"{draft.id}-{row.id}"
        try:
            evolved = await self.calls.evolve(draft.method, row.instruction, f"{request}-evolve", "evolve")
            if evolved is None:
                return Trial(None)
            return Trial(evolved, await self.calls.answer(evolved, row.input, f"{request}-answer"))
        except RequestError:
            return None

    def again(self, best: Draft, step: int) -> Draft:
        """The best method so far, as the one that a step begins with."""
        return Draft(row_id(best.id, self.key, self.number(step, 0)), best.id, step, 0, best.method)

    def number(self, step: int, candidate: int) -> int:
        """The number of a method among all."""
        return (step - 1) * (self.spec.candidates + 1) + candidate

    def record(self, draft: Draft, measured: Measured, chosen: bool) -> None:
        """Keep a method with what was measured."""
        failures = {name: measured.failures[name] for name in CLASSES}
        self.rows.append(
            MethodRow(
                id=draft.id,
                parent_id=draft.parent_id,
                seed_id=self.first,
                index=self.number(draft.step, draft.candidate),
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

    def reject(self, made: str, parent: str, index: int, status: str, reason: str, detail: str, raw: str) -> None:
        """Keep what the optimizer said where it held no method."""
        self.rejected.append(Rejection(made, parent, self.first, index, status, reason, detail, raw))
