"""The operator of verdict steps: a judge model grades one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.evaluate.items.answers import with_grade
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient
from pipelines.evaluate.registry import JUDGED, reference_reader
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from prompts.thoughts import split_thoughts


@dataclass(frozen=True)
class Verdict(Operator[AnswerRow, AnswerRow]):
    """Grades answers with a judge model.

    `data` are the rows of the benchmark's file and `others` the reference answers (all turns), both by the items' ids.
    An answer is rejected if the benchmark requires a reference answer, and the reference model failed on the item.
    """

    client: Client
    bench: Benchmark
    data: Mapping[str, Mapping[str, Any]]
    others: Mapping[str, tuple[str, ...]]

    async def __call__(self, row: AnswerRow, new_id: str) -> AnswerRow:
        judging = self.bench.traits.judging
        assert self.bench.judge and judging
        other = self.others.get(row.item, ())
        if judging.reference == "required" and not other:
            raise Rejected("no_reference", "the reference model gave no answer to this item")
        questions = tuple(text for role, text in json.loads(row.messages) if role == "user")
        case = JudgeCase(questions, tuple(row.answers), row.level, row.task, other, self.data.get(row.item, {}))
        judge_client = JudgeClient(self.client, new_id, self.bench.judge.max_tokens, self.bench.catalog)
        judgement = await JUDGED[self.bench.kind].judge(judge_client, case, self.bench.judge)
        made = with_grade(replace(row, **row.lineage(new_id)), judgement.grade)
        return replace(made, raw=list(judgement.raw), judge_thoughts=list(judge_client.thoughts), other=judgement.other)


def read_references(bench: Benchmark, path: Path, items: Sequence[Item]) -> Mapping[str, tuple[str, ...]]:
    """Return the reference answers of a file in the benchmark's own layout (all turns, no thoughts), by the items' ids.

    Raises:
        InputError: An item has no answer, and the benchmark needs one for each.
    """
    given = reference_reader(bench)(path, items)
    found = {name: tuple(split_thoughts(text).reply for text in answers) for name, answers in given.items()}
    missing = [item.id for item in items if item.id not in found]
    if missing and bench.traits.judging and bench.traits.judging.reference == "required":
        message = f"{len(missing)} of {len(items)} items have no answer in this file (first: {missing[0]})"
        raise InputError(message, file=str(path), remedy="Use a file with answers to the benchmark's questions.")
    return found
