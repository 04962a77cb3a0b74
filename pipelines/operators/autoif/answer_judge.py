"""AutoIF, step 7: a judge scores how well a response answers the query, independently of the functions."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.operators.autoif.reply_parsing import ParsedReply, accepted, reject_truncated, rejected
from pipelines.operators.autoif.sampling import RepeatedSampler, Sample
from pipelines.operators.autoif.thresholds import PAPER_THRESHOLDS, Thresholds
from pipelines.study.graph.steps.prompt_names import AUTOIF_SCORE
from prompts import STANDARD_CATALOG, Catalog

MAX_SCORE = 10
_SCORE = re.compile(r"\AScore: (\d{1,2})\Z")
_SCORE_LINE = re.compile(r"\bscore[\s*_:=`]+(\d{1,2})(?:\s*(?:/|out of)\s*10)?[\s*_.`]*\Z", re.I)


@dataclass(frozen=True)
class ResponseScorer:
    """Asks a judge for `count` scores. The scale is that of the thresholds."""

    sampler: RepeatedSampler
    thresholds: Thresholds = PAPER_THRESHOLDS
    count: int = 1
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, instruction: str, query: str, response: str, identity: str) -> tuple[Sample[int], ...]:
        """Return one sample per judgement; `mean_score` combines them."""
        values = {
            "instruction": instruction,
            "query": query,
            "response": response,
            "lowest": str(self.thresholds.min_score),
        }
        read = reject_truncated(lambda text: parse_score(text, self.thresholds.min_score))
        return await self.sampler(
            self.catalog.get(AUTOIF_SCORE).render(**values), read, identity, AUTOIF_SCORE, self.count
        )


def parse_score(text: str, min_score: int) -> ParsedReply[int]:
    """Read the integer in the last line, "Score: n".

    Repaired: text before the score, other punctuation, or "n/10" (`score_line`). Rejected: `no_score`, `out_of_range`.
    """
    lines = text.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    exact = _SCORE.match(last)
    match = exact or _SCORE_LINE.search(last)
    if match is None:
        return rejected("no_score")
    if not min_score <= int(match[1]) <= MAX_SCORE:
        return rejected("out_of_range")
    return accepted(int(match[1]), *([] if exact else ["score_line"]))


def mean_score(samples: Iterable[Sample[int]]) -> float:
    """Return the mean of the readable scores; 0 if there are none."""
    scores = [draw.value for draw in samples if draw.value is not None]
    return statistics.fmean(scores) if scores else 0.0
