"""MT-Bench (2306.05685): each turn of a conversation is rated from 1 to 10, some against a reference answer."""

from __future__ import annotations

from pipelines.evaluate.items.item import Grade
from pipelines.evaluate.judged.judge_client import Asker, Case, Judged
from pipelines.study.spec.benchmarks import Judge

REFERENCED = frozenset({"math", "reasoning", "coding", "arena-hard-200"})
TEMPERATURES = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}  # of answers; others: 0
GOOD = 5.0


async def judge(asker: Asker, case: Case, by: Judge) -> Judged:
    """The ratings of all turns. One that can not be read is dropped and counted."""
    del by
    read = [await _rated(asker, case, turn) for turn in range(len(case.answers))]
    ratings = [float(value) for value in read if value is not None]
    measures = {f"turn {turn + 1}": (float(value), 1.0) for turn, value in enumerate(read) if value is not None}
    if ratings:
        measures = {"score": (sum(ratings) / len(ratings), float(len(ratings)))} | measures
    measures["unparsed"] = (1 - len(ratings) / len(read), float(len(read)))
    good = bool(ratings) and sum(ratings) / len(ratings) > GOOD
    words = tuple(value or "" for value in read)
    return Judged(Grade(good, measures, words), tuple(asker.raw), "\n\n".join(case.other))


async def _rated(asker: Asker, case: Case, turn: int) -> str | None:
    """The rating of the first turn, or of the second one in view of both."""
    references = case.other if case.kind in REFERENCED else ()
    values = {"question": case.questions[0], "answer": case.answers[0]}
    if turn:
        values = {f"question_{n + 1}": text for n, text in enumerate(case.questions[:2])}
        values |= {f"answer_{n + 1}": text for n, text in enumerate(case.answers[:2])}
    values |= {f"ref_answer_{n + 1}": text for n, text in enumerate(references[: turn + 1])}
    name = "judge_rate" + ("_math" if references else "") + ("_turns" if turn else "")
    return (await asker.read(name, **values)).value
