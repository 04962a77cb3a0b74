"""Runs the steps that unite the rows of several others. Rows are copied with their ids, and nothing is asked again."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b

from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.planning.plan import Plan
from pipelines.rows.arrow import from_table
from pipelines.rows.ids import row_id
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.answers import UnionParams
from pipelines.study.graph.steps.step import Step

DUPLICATE = "duplicate"


def run_unions(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending unions, whose parts are finished; return the plan with them finished."""
    steps = [step for step in plan.pending if isinstance(step.params, UnionParams)]
    for step in steps:
        context.progress.finish_step(run_union(context.store, step))
    return plan.with_finished(step.key for step in steps)


def run_union(store: Store, step: Step) -> Manifest:
    """Run and commit one union.

    Rows are in the order of their seeds, and those of one seed in the order of the parts. An answer that is the same as
    an earlier one to the same conversation is rejected.
    """
    started, params = time.monotonic(), step.params
    assert isinstance(params, UnionParams)
    parts = step.inputs[params.parts_from :]
    rows = heapq.merge(*(_rows(store, step, part) for part in parts), key=lambda row: row.index)
    if step.kind == "union":
        results = _without_duplicates(rows, step)
    elif step.kind == "union_instructions":
        results = (row for row in rows if not (isinstance(row, InstructionRow) and row.eliminated))
    else:
        members = _ids(store, step.inputs[0])
        results = (row for row in rows if row.parent_id in members)
    shards, account = write_results(store, step, results)
    return commit_step(store, step, account, shards, time.monotonic() - started)


def _rows(store: Store, step: Step, part: Step) -> Iterator[Row]:
    """Yield the rows of a part, as the union has them: the parent of an answer is its instruction."""
    instructions = _instructions_of_answers(store, part) if step.kind == "union" else {}
    for table in store.tables(part.kind, part.key):
        for row in from_table(ROW_TYPES[step.kind], table):
            yield replace(row, parent_id=instructions[row.parent_id]) if instructions else row


def _instructions_of_answers(store: Store, part: Step) -> dict[str, str]:
    """Return the instruction of each row that chosen or checked answers are from; empty for other answers."""
    if part.kind not in ("check", "choose"):
        return {}
    source = part.inputs[0]
    table = store.rows(source.kind, source.key, columns=["id", "parent_id"])
    return dict(zip(table.column("id").to_pylist(), table.column("parent_id").to_pylist(), strict=True))


def _without_duplicates(rows: Iterator[Row], step: Step) -> Iterator[Row]:
    seen = set[bytes]()
    for row in rows:
        assert isinstance(row, ResponseRow)
        text = "\0".join((row.system, *row.history, row.instruction, row.input, row.response))
        digest = blake2b(text.encode(), digest_size=16).digest()
        if digest in seen:
            yield Rejection(
                **row.lineage(row_id(row.id, step.key)), status="rejected", reason=DUPLICATE, detail="", raw=""
            )
        else:
            seen.add(digest)
            yield row


def _ids(store: Store, step: Step) -> set[str]:
    return set(store.rows(step.kind, step.key, columns=["id"]).column("id").to_pylist())
