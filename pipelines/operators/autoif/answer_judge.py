"""Step 7: a judge scores how well a response answers the query, whatever the functions say of it."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import prompts
from pipelines.operators.autoif.reply_parsing import Reading, accepted, complete, rejected
from pipelines.operators.autoif.sampling import Asker, Draw
from pipelines.operators.autoif.thresholds import PAPER, Rules
from pipelines.study.graph.prompt_names import AUTOIF_SCORE

HIGHEST = 10
_SCORE = re.compile(r"\AScore: (\d{1,2})\Z")
_DRESSED = re.compile(r"\bscore[\s*_:=`]+(\d{1,2})(?:\s*(?:/|out of)\s*10)?[\s*_.`]*\Z", re.I)


@dataclass(frozen=True)
class Score:
    """Asks a judge `count` times for a score; the scale is that of the rules."""

    ask: Asker
    rules: Rules = PAPER
    count: int = 1

    async def __call__(self, instruction: str, query: str, response: str, identity: str) -> tuple[Draw[int], ...]:
        """One draw per judgement; `mean_score` makes one score of them."""
        values = {"instruction": instruction, "query": query, "response": response, "lowest": str(self.rules.lowest)}
        read = complete(lambda text: parse_score(text, self.rules.lowest))
        return await self.ask(prompts.get(AUTOIF_SCORE).render(**values), read, identity, AUTOIF_SCORE, self.count)


def parse_score(text: str, lowest: int) -> Reading[int]:
    """The integer in the last line, "Score: n".

    Repaired: a line that ends so, with other marks, or in "n/10" (`score_line`). Rejected: `no_score`, `out_of_range`.
    """
    lines = text.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    exact = _SCORE.match(last)
    match = exact or _DRESSED.search(last)
    if match is None:
        return rejected("no_score")
    if not lowest <= int(match[1]) <= HIGHEST:
        return rejected("out_of_range")
    return accepted(int(match[1]), *([] if exact else ["score_line"]))


def mean_score(draws: Iterable[Draw[int]]) -> float:
    """The mean of the scores that could be read; 0 if none could."""
    scores = [draw.value for draw in draws if draw.value is not None]
    return statistics.fmean(scores) if scores else 0.0
