"""Arena-Hard v0.1 (2406.11939): two games against the baseline's answer, one in each order; strong verdicts triple."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import prompts
from pipelines.evaluate.items.item import Grade
from pipelines.evaluate.judged.judge_client import Asker, Case, Judged
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import Judge

AGAIN = "continue your judgment and finish by outputting a final verdict label"
STRONG = 3
BOOTSTRAPS = 100
SEED = 42
# by a game's label, for A: score and how often it counts
OF_A = {"A>>B": (1.0, STRONG), "A>B": (1.0, 1), "A=B": (0.5, 1), "B>A": (0.0, 1), "B>>A": (0.0, STRONG)}


async def judge(asker: Asker, case: Case, by: Judge) -> Judged:
    """In the first game the baseline is A, in the second the answer. A game without one label is asked again once."""
    del by  # both orders are the benchmark's rule
    (question, *_), mine, other = case.questions, case.answers[-1], case.other[-1]
    labels = (await _game(asker, question, other, mine), await _game(asker, question, mine, other))
    battles = list(played(labels))
    count = float(sum(weight for _, weight in battles))
    measures = {"unparsed": (sum(not label for label in labels) / 2, 2.0)}
    if battles:
        score = win_probability(battles)
        return Judged(Grade(score > 0.5, {"score": (score, count)} | measures, labels), tuple(asker.raw), other)
    return Judged(Grade(False, measures, labels), tuple(asker.raw), other)


async def _game(asker: Asker, question: str, a: str, b: str) -> str:
    """The label of a game; empty where there is none after all."""
    turns = prompts.get("judge_arena_hard").turns(question=question, answer_a=a, answer_b=b)
    first = await asker.say(turns)
    found = prompts.parse("arena", first).value
    if found is None:
        second = await asker.say((*turns, ("assistant", first), ("user", AGAIN)))
        found = prompts.parse("arena", second).value
    return found or ""


def played(labels: Sequence[str]) -> Iterator[tuple[float, int]]:
    """The answer's score (1, 0.5 or 0) and weight in each game that has a label; it is B in the first one."""
    for label, is_b in zip(labels, (True, False), strict=True):
        if label:
            score, weight = OF_A[label]
            yield (1 - score if is_b else score), weight


def win_probability(battles: Sequence[tuple[float, int]]) -> float:
    """The Bradley-Terry probability to win against the one opponent.

    The maximum of that likelihood is the weighted share of wins, a tie being half of one; where every battle is lost or
    won its coefficient is infinite, and the probability 0 or 1.
    """
    return sum(score * weight for score, weight in battles) / sum(weight for _, weight in battles)


def interval(rows: Sequence[AnswerRow]) -> tuple[float, float]:
    """2.5 and 97.5 percentiles in per cent of 100 bootstraps over battles, a strong one being three; 0 for none."""
    import numpy as np

    battles = [score for row in rows for score, weight in played(row.words) for _ in range(weight)]
    if not battles:
        return 0.0, 0.0
    drawn = np.random.default_rng(SEED).choice(np.asarray(battles), size=(BOOTSTRAPS, len(battles)))
    low, high = np.percentile(100 * drawn.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
