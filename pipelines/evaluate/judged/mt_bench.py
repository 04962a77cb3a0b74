"""MT-Bench (2306.05685): a judge rates each turn of a conversation from 1 to 10, in some categories by a reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.evaluate.items.data_files import Record, read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.evaluate.judged.questions import answers_by_id
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge

CATEGORIES_WITH_REFERENCE = frozenset({"math", "reasoning", "coding", "arena-hard-200"})
TEMPERATURES = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}  # of answers; others: 0
GOOD_RATING = 5.0


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the questions in the file's order, each with its follow-up turns."""
    return [_item(row, path) for row in read_records(path)[: bench.limit]]


def _item(row: Record, path: Path) -> Item:
    name, category, (first, *later) = require_fields(row, path, "question_id", "category", "turns")
    heat = TEMPERATURES.get(category, 0.0)
    return Item(str(name), (("user", first),), kind=category, follow_up_turns=tuple(later), temperature=heat, data=row)


def read_references(path: Path, items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Return the answers of a file in MT-Bench's layout, by the items' ids. Only some items have answers."""
    return answers_by_id(path, items, _read_answer)


def _read_answer(row: Record, path: Path) -> tuple[str, tuple[str, ...]]:
    name, offered = require_fields(row, path, "question_id", "choices")
    return str(name), tuple(offered[0]["turns"])


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """Rate all turns. A rating that cannot be parsed is left out of the score and counted as `unparsed`."""
    del judge_config
    read = [await _rate_turn(judge_client, case, turn) for turn in range(len(case.answers))]
    ratings = [float(value) for value in read if value is not None]
    measures = {f"turn {turn + 1}": (float(value), 1.0) for turn, value in enumerate(read) if value is not None}
    if ratings:
        measures = {"score": (sum(ratings) / len(ratings), float(len(ratings)))} | measures
    measures["unparsed"] = (1 - len(ratings) / len(read), float(len(read)))
    good = bool(ratings) and sum(ratings) / len(ratings) > GOOD_RATING
    words = tuple(value or "" for value in read)
    return Judgement(Grade(good, measures, words), tuple(judge_client.raw), "\n\n".join(case.other))


async def _rate_turn(judge_client: JudgeClient, case: JudgeCase, turn: int) -> str | None:
    """Return the rating of the first turn (turn 0), or of the second one, for which the judge sees both turns."""
    references = case.other if case.kind in CATEGORIES_WITH_REFERENCE else ()
    values = {"question": case.questions[0], "answer": case.answers[0]}
    if turn:
        values = {f"question_{n + 1}": text for n, text in enumerate(case.questions[:2])}
        values |= {f"answer_{n + 1}": text for n, text in enumerate(case.answers[:2])}
    values |= {f"ref_answer_{n + 1}": text for n, text in enumerate(references[: turn + 1])}
    name = "judge_rate" + ("_math" if references else "") + ("_turns" if turn else "")
    return (await judge_client.ask_verdict(name, **values)).value
