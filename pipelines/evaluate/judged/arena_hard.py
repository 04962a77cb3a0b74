"""Arena-Hard v0.1 (2406.11939): two games against a baseline answer, one per order; strong verdicts count triple."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import prompts
from pipelines.bootstrap import draw_resamples, percentile_interval
from pipelines.evaluate.items.data_files import Record, read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.evaluate.judged.questions import answers_by_id
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge
from prompts.parse import NOT_A_LABEL, TWO_LABELS

CONTINUE_PROMPT = "continue your judgment and finish by outputting a final verdict label"
STRONG_WEIGHT = 3
BOOTSTRAPS = 100
SEED = 42
# label of a game -> (score of A, weight of the game)
SCORE_OF_LABEL = {
    "A>>B": (1.0, STRONG_WEIGHT),
    "A>B": (1.0, 1),
    "A=B": (0.5, 1),
    "B>A": (0.0, 1),
    "B>>A": (0.0, STRONG_WEIGHT),
}


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the questions in the file's order."""
    return [_item(row, path) for row in read_records(path)[: bench.limit]]


def _item(row: Record, path: Path) -> Item:
    name, prompt = require_fields(row, path, "uid", "prompt")
    return Item(name, (("user", prompt),), kind=str(row.get("cluster", "")), data=row)


def read_references(path: Path, items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Return the answers of a file in Arena-Hard's layout, by the items' ids."""
    return answers_by_id(path, items, _read_answer)


def _read_answer(row: Record, path: Path) -> tuple[str, tuple[str, ...]]:
    name, messages = require_fields(row, path, "uid", "messages")
    said = messages[-1]["content"]
    return name, (said["answer"] if isinstance(said, dict) else said,)


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """Judge two games: in the first the baseline is A, in the second the answer is A.

    If a reply has no label, the judge is asked once more to continue. As in Arena-Hard's code, a reply with several
    different labels ends the game without a verdict.
    """
    del judge_config  # both orders are the benchmark's rule
    (question, *_), mine, other = case.questions, case.answers[-1], case.other[-1]
    labels = (
        await _play_game(judge_client, question, other, mine),
        await _play_game(judge_client, question, mine, other),
    )
    battles = list(battle_scores(labels))
    count = float(sum(weight for _, weight in battles))
    measures = {"unparsed": (sum(not label for label in labels) / 2, 2.0)}
    if battles:
        score = win_probability(battles)
        return Judgement(
            Grade(score > 0.5, {"score": (score, count)} | measures, labels), tuple(judge_client.raw), other
        )
    return Judgement(Grade(False, measures, labels), tuple(judge_client.raw), other)


async def _play_game(judge_client: JudgeClient, question: str, a: str, b: str) -> str:
    """Return the label of a game, or "" without a verdict."""
    prompt = judge_client.catalog.get("judge_arena_hard")
    turns = prompt.turns(question=question, answer_a=a, answer_b=b)
    first = await judge_client.ask(turns)
    found = prompts.parse(prompt.parser, first)
    if found.value is None and found.reason not in (TWO_LABELS, NOT_A_LABEL):
        second = await judge_client.ask((*turns, ("assistant", first), ("user", CONTINUE_PROMPT)))
        found = prompts.parse(prompt.parser, second)
    return found.value or ""


def battle_scores(labels: Sequence[str]) -> Iterator[tuple[float, int]]:
    """Yield the answer's score (1, 0.5 or 0) and weight for each game with a label. It is B in the first game."""
    for label, is_b in zip(labels, (True, False), strict=True):
        if label:
            score, weight = SCORE_OF_LABEL[label]
            yield (1 - score if is_b else score), weight


def win_probability(battles: Sequence[tuple[float, int]]) -> float:
    """Return the Bradley-Terry probability of winning against the only opponent.

    With one opponent, the maximum-likelihood estimate is the weighted share of wins, where a tie counts as half a win.
    If all battles are won or all are lost, the coefficient is infinite and the probability is 1 or 0.
    """
    return sum(score * weight for score, weight in battles) / sum(weight for _, weight in battles)


def summarize(
    means: Mapping[str, float], rows: Sequence[AnswerRow], judge_config: Judge | None, folder: Path | None
) -> dict[str, float]:
    """Return the score and its confidence interval (`low`, `high`)."""
    del judge_config, folder
    low, high = confidence_interval(rows)
    return {**means, "low": low, "high": high}


def confidence_interval(rows: Sequence[AnswerRow]) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles, in per cent, of 100 bootstraps over battles, or zeros without battles.

    A strong verdict counts as three battles.
    """
    battles = [score for row in rows for score, weight in battle_scores(row.words) for _ in range(weight)]
    if not battles:
        return 0.0, 0.0
    drawn = np.asarray(battles)[draw_resamples(len(battles), BOOTSTRAPS, SEED)]
    return percentile_interval(100 * drawn.mean(axis=1))
