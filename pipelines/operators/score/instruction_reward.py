"""The reward of an evolved instruction as an answer to the evolver's prompt (2412.11231, Table 14)."""

from __future__ import annotations

from dataclasses import dataclass

import prompts
from actors.engine import Client
from pipelines.operators.score.reward import compute_reward
from pipelines.rows.operator import NOT_EVOLVED, Operator, Rejected
from pipelines.rows.types import InstructionRow, JudgementRow
from pipelines.study.graph.steps.methods import prompt_name
from prompts import STANDARD_CATALOG, Catalog


@dataclass(frozen=True)
class InstructionReward(Operator[InstructionRow, JudgementRow]):
    """Computes an evolution's reward. `optimized` is the method that Auto Evol-Instruct found, if there is one.

    The published code builds the prompt from the evolved instruction by mistake, and weights rewards by length. This
    operator builds it from the instruction before the evolution and returns the unweighted reward, as the paper
    describes. A row is rejected if it was not evolved or if its reward is not a finite number.
    """

    client: Client
    optimized: str = ""
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> JudgementRow:
        if row.eliminated or row.kept:
            raise Rejected(NOT_EVOLVED, row.outcome)
        messages = (("user", self.build_prompt(row)), ("assistant", row.evolved))
        reward, _ = await compute_reward(self.client, new_id, messages)
        lineage = row.lineage(new_id)
        return JudgementRow(**lineage, metric="reward", labels=[], scores=[reward], raw=[], outcomes=[])

    def build_prompt(self, row: InstructionRow) -> str:
        """Return the prompt that the evolver received."""
        if self.optimized:
            return prompts.fill(self.optimized, row.before)
        return self.catalog.get(prompt_name(row.method)).render(instruction=row.before)
