"""Perplexity, IFD and IC-IFD of a pair from its scored tokens (2412.11231, eq. 1 and 2, and its reference code).

RSR, the rank-surprisal ratio (2601.14249, and its code): the mean rank of the answer's tokens over their mean loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actors.engine import Client, LogprobRequest, TokenLogprobs
from actors.inference.templates.alpaca import RESPONSE_HEADER, alpaca_prompt
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.text import context, user_turn
from pipelines.rows.types import ResponseRow, ScoreRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

MAX_RANK = 100  # RSR counts no token's rank higher than this, as its published code
MIN_LOSS = 1e-12  # nats; RSR divides by no smaller loss, as its published code
MAX_LOSS = 700.0  # nats; the exponential of a larger loss may overflow a float64


def mean_loss(logprobs: Sequence[float | None]) -> float:
    """Return the mean cross-entropy in nats per predicted token; NaN if there are no predicted tokens."""
    known = [value for value in logprobs if value is not None]
    return -math.fsum(known) / len(known) if known else math.nan


def mean_rank(ranks: Sequence[int | None]) -> float:
    """Return the mean of the ranks, each counted as at most MAX_RANK; 0 if there are none."""
    known = [min(rank, MAX_RANK) for rank in ranks if rank is not None]
    return sum(known) / len(known) if known else 0.0


@dataclass(frozen=True)
class Score(Operator[ResponseRow, ScoreRow]):
    """Scores a pair, and its answer without the instruction, in one request, in the form that the options name.

    A pair is rejected if one of its losses is undefined (no token to predict, or a log-probability that is not finite),
    or if a loss that is a denominator is zero.
    """

    client: Client
    options: ScoringOptions

    async def __call__(self, row: ResponseRow, new_id: str) -> ScoreRow:
        request = logprob_request(row, new_id, self.options)
        said = await self.client.logprobs(request)
        if not all(value is None or math.isfinite(value) for value in (*said.logprobs, *said.alone)):
            raise Rejected("not_finite", "the model gives a log-probability that is not a finite number")
        question, answer = said.logprobs[: said.boundary], said.logprobs[said.boundary :]
        instruction, conditional, alone = require_defined(mean_loss(question), mean_loss(answer), mean_loss(said.alone))
        tokens, rank = token_counts(request, said), mean_rank(said.ranks[said.boundary :])
        return ScoreRow(
            **row.lineage(new_id),
            tokens_instruction=tokens[row.instruction],
            tokens_with_input=tokens[user_turn(row.instruction, row.input)],
            tokens_answer=tokens[row.response],
            loss_instruction=instruction,
            loss_conditional=conditional,
            loss_answer=alone,
            ppl_instruction=math.exp(instruction),
            ppl_conditional=math.exp(conditional),
            ppl_answer=math.exp(alone),
            ifd=conditional / alone,
            ifd_ppl=math.exp(conditional - alone),
            ic_ifd=conditional / (instruction * alone),
            mean_rank=rank,
            rsr=rank / max(conditional, MIN_LOSS),
            answer_probabilities=first_probabilities(said, self.options.probabilities),
        )


def logprob_request(row: ResponseRow, new_id: str, options: ScoringOptions) -> LogprobRequest:
    """Return the request for a pair's log-probabilities.

    The conversation before the instruction is read and not scored. The answer alone has none before it. Texts that
    are not scored as they are, or that may be cut, are counted besides.
    """
    turn, answer = user_turn(row.instruction, row.input), row.response
    question, text, header = pair_texts(row, options)
    known = () if options.truncate or header else (question, answer)
    return LogprobRequest(
        new_id,
        question,
        text,
        answer,
        chat=options.form == "chat",
        bos=options.bos,
        before=context(row),
        truncate=options.truncate,
        alone_before=header,
        ranks=options.ranks,
        counted=tuple(each for each in dict.fromkeys((row.instruction, turn, answer)) if each not in known),
    )


def pair_texts(row: ResponseRow, options: ScoringOptions) -> tuple[str, str, str]:
    """Return the texts scored as instruction and as answer, and the text before the answer alone, which is not scored.

    In raw text, a newline separates instruction and answer.
    """
    turn, answer = user_turn(row.instruction, row.input), row.response
    if options.form == "cherry":
        return alpaca_prompt(row.instruction, row.input), answer, RESPONSE_HEADER
    if options.form == "chat":
        return turn, answer, ""
    return (turn, f"\n{answer}", "") if options.boundary == "answer" else (f"{turn}\n", answer, "")


def token_counts(request: LogprobRequest, said: TokenLogprobs) -> dict[str, int]:
    """Return the number of tokens of each text of a request whose tokens were counted, without BOS and template."""
    scored = {request.context: said.lengths[0], request.alone: said.lengths[2]}
    return scored | dict(zip(request.counted, said.counts, strict=True))


def require_defined(instruction: float, conditional: float, alone: float) -> tuple[float, float, float]:
    """Return the three losses.

    Raises:
        Rejected: A loss is undefined, or a ratio or perplexity computed from them would be undefined or too large.
    """
    losses = instruction, conditional, alone
    if any(math.isnan(loss) for loss in losses):
        raise Rejected("no_tokens", "a text has no token to predict")
    if instruction == 0 or alone == 0:
        raise Rejected("zero_loss", "a ratio by a loss of zero is undefined")
    if max(losses) > MAX_LOSS:
        raise Rejected("not_finite", "a perplexity is too large to be held")
    return losses


def first_probabilities(said: TokenLogprobs, count: int) -> list[float]:
    """Return the probabilities of an answer's first `count` tokens given its question, without the newline before it.

    (2412.11231, the figure on output-token probability, shows the first five sampled tokens.)
    """
    start = said.boundary + max(0, said.lengths[1] - said.lengths[2])
    return [math.exp(value) for value in said.logprobs[start : start + count] if value is not None]
