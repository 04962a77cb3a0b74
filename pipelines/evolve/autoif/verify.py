"""Steps 2 and 3 for one instruction: functions and cases are asked for, run, and checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

import prompts
from pipelines.evolve.autoif.asking import Asker, Draw, told
from pipelines.evolve.autoif.crosscheck import Survivors, survivors, truth_of
from pipelines.evolve.autoif.material import GENERATIONS, PROMPT, Material, read_material
from pipelines.evolve.autoif.rules import PAPER, Rules
from pipelines.evolve.autoif.verdicts import Runner
from pipelines.operators import Rejected


@dataclass(frozen=True)
class Verified:
    """An instruction with functions that can check whether a response follows it, and all that the model said."""

    instruction: str
    survivors: Survivors
    draws: tuple[Draw[Material], ...]


@dataclass(frozen=True)
class Verify:
    """Asks for `generations` functions with their cases and cross-validates them (2406.13542: 8).

    Rejected: as `survivors`. SandboxError if the sandbox itself failed.
    """

    ask: Asker
    runner: Runner
    rules: Rules = PAPER
    generations: int = GENERATIONS

    async def __call__(self, instruction: str, identity: str) -> Verified:
        prompt = prompts.get(PROMPT).render(instruction=instruction)
        draws = await self.ask(prompt, read_material, identity, PROMPT, self.generations)
        truth = await truth_of(self.runner, identity, [draw.value for draw in draws if draw.value])
        try:
            return Verified(instruction, survivors(truth, self.rules), draws)
        except Rejected as error:
            raise Rejected(error.reason, error.detail, told(draws)) from None
