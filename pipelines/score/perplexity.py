"""Perplexity, IFD and IC-IFD of a pair from two scored texts (2412.11231, eq. 1 and 2, and its reference code)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actors.engine import Client, LogprobRequest
from pipelines.operators import Rejected
from pipelines.respond import user_turn
from pipelines.rows import ResponseRow, Row, ScoreRow


def mean_loss(logprobs: Sequence[float | None]) -> float:
    """Mean cross-entropy in nats per predicted token; NaN if there is none."""
    known = [value for value in logprobs if value is not None]
    return -math.fsum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Score:
    """Scores a pair as raw text: the question, a newline, the answer; and the answer alone. No chat template.

    Rejected: a pair of which one loss is undefined (nothing to predict) or zero (a ratio would be infinite).
    """

    client: Client

    async def __call__(self, row: Row, new_id: str) -> ScoreRow:
        assert isinstance(row, ResponseRow)
        question = user_turn(row.instruction, row.input)
        pair = await self.client.logprobs(LogprobRequest(new_id, question, "\n" + row.response))
        alone = await self.client.logprobs(LogprobRequest(f"{new_id}-answer", "", row.response))
        question_part, answer_part = pair.logprobs[: pair.boundary], pair.logprobs[pair.boundary :]
        losses = mean_loss(question_part), mean_loss(answer_part), mean_loss(alone.logprobs)
        return _scored(row, new_id, losses, (len(question_part), len(answer_part)))


def _scored(row: ResponseRow, new_id: str, losses: tuple[float, float, float], tokens: tuple[int, int]) -> ScoreRow:
    instruction, conditional, answer = losses
    if any(math.isnan(loss) for loss in losses):
        raise Rejected("no_tokens", "a text has no token to predict")
    if instruction == 0 or answer == 0:
        raise Rejected("zero_loss", "a ratio by a loss of zero is undefined")
    return ScoreRow(
        id=new_id,
        parent_id=row.id,
        seed_id=row.seed_id,
        index=row.index,
        tokens_instruction=tokens[0],
        tokens_answer=tokens[1],
        loss_instruction=instruction,
        loss_conditional=conditional,
        loss_answer=answer,
        ppl_instruction=math.exp(instruction),
        ppl_conditional=math.exp(conditional),
        ppl_answer=math.exp(answer),
        ifd=conditional / answer,
        ifd_ppl=math.exp(conditional - answer),
        ic_ifd=conditional / (instruction * answer),
    )
