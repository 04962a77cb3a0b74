"""Best-of-N and worst-of-N: samples several answers of a teacher; a reward model picks one (2411.07133, Table 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from actors.engine import Client, Generation, RequestError, Sampling
from pipelines.operators.respond.answer import generate_answer, reject_unevolved
from pipelines.operators.score.reward import compute_reward
from pipelines.rows.ids import row_id
from pipelines.rows.operator import EMPTY, Operator, Rejected
from pipelines.rows.text import conversation
from pipelines.rows.types import CandidatesRow, ChosenRow, InstructionRow
from pipelines.study.spec.pairs.responses import SelectionRule
from prompts import STANDARD_CATALOG, Catalog
from prompts.refusals import is_refusal

Result = TypeVar("Result")


@dataclass(frozen=True)
class SampleCandidates(Operator[InstructionRow, CandidatesRow]):
    """Samples `count` answers to one instruction, each with a different seed. Empty and truncated answers are kept.

    A candidate whose request fails is left out. If all fail, the row is rejected.
    """

    client: Client
    sampling: Sampling
    count: int
    answer_seed: int
    system: str = ""
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> CandidatesRow:
        reject_unevolved(row)
        ids = [row_id(new_id, "candidate", number) for number in range(self.count)]
        calls = [
            generate_answer(self.client, self.sampling, self.answer_seed, row, one, self.system, self.catalog)
            for one in ids
        ]
        said: list[Generation] = [*(await _gather_successful(calls, "no_candidate")).values()]
        return CandidatesRow(
            **row.lineage(new_id),
            instruction=row.instruction,
            input=row.input,
            candidates=[one.text.strip() for one in said],
            finish_reasons=[one.finish_reason for one in said],
            tokens_in=said[0].tokens_in,
            tokens_out=[one.tokens_out for one in said],
            system=row.system,
            history=row.history,
            thoughts=[one.thoughts for one in said],
        )


@dataclass(frozen=True)
class ChooseCandidate(Operator[CandidatesRow, ChosenRow]):
    """Picks the candidate with the highest or the lowest reward; ties go to the first.

    Empty candidates get a reward, too. If the picked candidate is empty, the row is rejected, like an empty answer. A
    candidate that the reward model cannot score is skipped. If all are skipped, the row is rejected.
    """

    client: Client
    rule: SelectionRule

    async def __call__(self, row: CandidatesRow, new_id: str) -> ChosenRow:
        conversations = [conversation(row, text) for text in row.candidates]
        calls = [compute_reward(self.client, f"{new_id}-{n}", each) for n, each in enumerate(conversations)]
        rewards = {number: reward for number, (reward, _) in (await _gather_successful(calls, "no_reward")).items()}
        chosen = [*rewards][pick_index([*rewards.values()], self.rule)]
        response = row.candidates[chosen]
        if not response:
            raise Rejected(EMPTY, f"candidate {chosen} of {len(row.candidates)} is the {self.rule}, and empty")
        return ChosenRow(
            **row.lineage(new_id),
            instruction=row.instruction,
            input=row.input,
            response=response,
            finish_reason=row.finish_reasons[chosen],
            tokens_in=row.tokens_in,
            tokens_out=row.tokens_out[chosen],
            refused=is_refusal(response),
            system=row.system,
            history=row.history,
            thoughts=row.thoughts[chosen] if row.thoughts else "",
            chosen=chosen,
            judged=[*rewards],
            rewards=[*rewards.values()],
        )


def pick_index(rewards: Sequence[float], rule: SelectionRule) -> int:
    """Return the index of the highest or the lowest reward; ties go to the first.

    Raises:
        ValueError: `rewards` is empty.
    """
    return rewards.index(max(rewards) if rule == "best" else min(rewards))


async def _gather_successful(calls: Sequence[Awaitable[Result]], reason: str) -> dict[int, Result]:
    """Return the results of the successful calls, by the calls' indices.

    Raises:
        Rejected: All calls failed; the detail is the first call's error.
    """
    outcomes = await asyncio.gather(*map(_attempt, calls))
    results = {number: came for number, came in enumerate(outcomes) if not isinstance(came, Exception)}
    if not results:
        raise Rejected(reason, str(outcomes[0]))
    return results


async def _attempt(call: Awaitable[Result]) -> Result | RequestError | Rejected:
    try:
        return await call
    except (RequestError, Rejected) as why:
        return why
