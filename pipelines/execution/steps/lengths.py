"""Counts the tokens of pairs in one tokenizer, whatever models wrote them. No model is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from actors.model_folder.tokenizer_file import tokenizer_of
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.planning.plan import Plan
from pipelines.rows.arrow import from_table
from pipelines.rows.ids import row_id
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.text import user_turn
from pipelines.rows.types import LengthsRow, ResponseRow
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.measures import LengthsParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import resolve_model_path
from pipelines.study.spec.study import Study

Count = Callable[[Sequence[str]], list[int]]


def run_lengths(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending steps that count tokens; return the plan with them finished."""
    steps = plan.pending_of("lengths")
    if steps:
        count = token_counter(context.study, context.folder, steps[0])
        for step in steps:
            context.progress.finish_step(count_lengths(context.store, step, count))
    return plan.with_finished(step.key for step in steps)


def token_counter(study: Study, folder: Path, step: Step) -> Count:
    """Return the function that counts the tokens of texts, without special tokens, for a step of the study."""
    assert isinstance(step.params, LengthsParams)
    model = study.models[step.params.tokenizer]
    tokenizer: Any = tokenizer_of(resolve_model_path(model, folder), model.revision)

    def count(texts: Sequence[str]) -> list[int]:
        ids = cast(list[list[int]], tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"])
        return [len(each) for each in ids] if texts else []

    return count


def count_lengths(store: Store, step: Step, count: Count) -> Manifest:
    """Run and commit one step."""
    started = time.monotonic()
    shards, account = write_results(store, step, _lengths(store, step, count))
    return commit_step(store, step, account, shards, time.monotonic() - started)


def _lengths(store: Store, step: Step, count: Count) -> Iterator[LengthsRow]:
    (answers,) = step.inputs
    for table in store.tables(answers.kind, answers.key):
        rows = [row for row in from_table(ROW_TYPES[answers.kind], table) if isinstance(row, ResponseRow)]
        texts = (
            [row.instruction for row in rows],
            [user_turn(row.instruction, row.input) for row in rows],
            [row.response for row in rows],
        )
        for row, *lengths in zip(rows, *map(count, texts), strict=True):
            yield LengthsRow(**row.lineage(row_id(row.id, step.key)), **dict(zip(_COLUMNS, lengths, strict=True)))


_COLUMNS = ("tokens_instruction", "tokens_with_input", "tokens_answer")
