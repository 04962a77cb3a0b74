"""A verdict step's operator: a judge reads one answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from actors.engine import Client
from pipelines.evaluate.items.answers import with_grade
from pipelines.evaluate.judged import alpaca_eval, arena_hard, compare, followbench, mt_bench
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.rows.operator import Rejected
from pipelines.rows.types import AnswerRow, Row
from pipelines.study.spec.benchmarks import PAIRWISE_BENCHMARKS, Benchmark, Judge

JUDGES: Mapping[str, Callable[[JudgeClient, JudgeCase, Judge], Awaitable[Judgement]]] = {
    "followbench": followbench.judge,
    "alpaca_eval": alpaca_eval.judge,
    "arena_hard": arena_hard.judge,
    "mt_bench": mt_bench.judge,
    "compare": compare.judge,
}


@dataclass(frozen=True)
class Verdict:
    """Has answers judged. `data` are the benchmark's own rows, `others` the answers to compare with, by item.

    Rejected where there is no answer to compare with, as the reference model failed on it.
    """

    client: Client
    bench: Benchmark
    data: Mapping[str, Mapping[str, Any]]
    others: Mapping[str, tuple[str, ...]]

    async def __call__(self, row: Row, new_id: str) -> AnswerRow:
        assert isinstance(row, AnswerRow) and self.bench.judge
        other = self.others.get(row.item, ())
        if self.bench.kind in PAIRWISE_BENCHMARKS and not other:
            raise Rejected("no_reference", "the reference model gave no answer to this item")
        questions = tuple(text for role, text in json.loads(row.messages) if role == "user")
        case = JudgeCase(questions, tuple(row.answers), row.level, row.task, other, self.data.get(row.item, {}))
        judge_client = JudgeClient(self.client, new_id, self.bench.judge.max_tokens)
        judgement = await JUDGES[self.bench.kind](judge_client, case, self.bench.judge)
        made = with_grade(replace(row, id=new_id, parent_id=row.id), judgement.grade)
        return replace(made, raw=list(judgement.raw), other=judgement.other)
