"""AutoIF, steps 6 and 7: functions check whether an answer follows its instruction, a judge scores it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.operators.autoif.answer_judge import ResponseScorer, mean_score
from pipelines.operators.autoif.function_runs import Runner, pass_rates
from pipelines.operators.autoif.sampling import samples_json
from pipelines.operators.autoif.thresholds import Thresholds
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import CheckedRow, PairedRow, ResponseRow

FAILS_CHECK, LOW_SCORE, NO_SCORE = "fails_check", "low_score", "no_score"


@dataclass(frozen=True)
class CheckResponses(Operator[ResponseRow, CheckedRow]):
    """Keeps an answer that passes the functions and then the threshold for the judge's mean score.

    `pair_of` returns the pair that an answer belongs to. Rejected: `fails_check` (the detail is the pass rate),
    `low_score` (the score), `no_score`. Raises SandboxError if the sandbox itself failed. A truncated answer is checked
    like any other (2406.13542's code).
    """

    runner: Runner
    score: ResponseScorer
    thresholds: Thresholds
    pair_of: Callable[[ResponseRow], PairedRow]

    async def __call__(self, row: ResponseRow, new_id: str) -> CheckedRow:
        pair = self.pair_of(row)
        (rate,) = await pass_rates(self.runner, new_id, pair.functions, [row.response])
        if not self.thresholds.response.passes(rate):
            raise Rejected(FAILS_CHECK, f"{rate:.3f}")
        draws = await self.score(pair.constraint, pair.before, row.response, new_id)
        mean = mean_score(draws)
        if all(draw.value is None for draw in draws):
            raise Rejected(NO_SCORE, "", samples_json(draws))
        if not self.thresholds.score.passes(mean):
            raise Rejected(LOW_SCORE, f"{mean:g}", samples_json(draws))
        own: dict[str, Any] = vars(row) | row.lineage(new_id)
        return CheckedRow(
            **own,
            pass_rate=rate,
            judged=mean,
            raw=[draw.raw for draw in draws],
            outcomes=[draw.outcome for draw in draws],
        )
