"""Selections, each committed as a step: the chosen pairs, and of every other one why it was left out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

from rich.markup import escape

from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import Context
from pipelines.operators.select.car import warning
from pipelines.operators.select.select import choose, rewards
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ROW_TYPES, ResponseRow, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.params import SelectJob
from pipelines.study.graph.step import Step

KEPT = 4096  # sizes of rival selections that a run remembers


def run_selections(context: Context) -> None:
    """Run and commit all unfinished selections of the plan, whose inputs are finished."""
    for step in context.plan.pending_of("select"):
        manifest = select(context.store, step)
        context.board.finish(step.key, context.told(manifest))
        if told := manifest.extra["warning"]:
            context.board.say(f"[yellow]{step.label}[/yellow]: {escape(told)}")


def select(store: Store, step: Step) -> Manifest:
    """Run and commit one selection. Its inputs are the answers and what measures them, then those of its rivals."""
    started, job = time.monotonic(), step.job
    assert isinstance(job, SelectJob)
    size = 1 + len(job.selection.needs)
    own, *rivals = (step.inputs[low : low + size] for low in range(0, len(step.inputs), size))
    limit = min((_size(store.url, job, rival) for rival in rivals), default=None)
    pairs, measured = _read(store, own)
    rows, left_out = choose(pairs, measured, job.selection, job.seed, step.key, limit)
    told = warning(rewards(measured), job.selection.mode) if job.selection.by == "car" else ""
    seconds = time.monotonic() - started
    return commit_rows(store, step, [*rows], left_out, len(pairs), seconds, {"warning": told})


@lru_cache(maxsize=KEPT)
def _size(url: str, job: SelectJob, steps: tuple[Step, ...]) -> int:
    """How many pairs the same selection would choose of another set alone."""
    return len(choose(*_read(Store(url), steps), job.selection, job.seed, "")[0])


def _read(store: Store, steps: Sequence[Step]) -> tuple[list[ResponseRow], dict[str, dict[str, Row]]]:
    """The answers of a set, and the rows that measure them."""
    answers, *others = steps
    pairs = [row for row in _rows(store, answers) if isinstance(row, ResponseRow)]
    asked = {pair.id: pair.parent_id for pair in pairs}
    if answers.kind in ("check", "choose"):  # a checked answer's parent is the answer, a chosen one's its candidates
        parents = {row.id: row.parent_id for row in _rows(store, answers.inputs[0])}
        asked = {row: parents[answer] for row, answer in asked.items()}
    measured: dict[str, dict[str, Row]] = {}
    for step in others:
        found = {row.parent_id: row for row in _rows(store, step)}
        about = asked if step.kind == "diversity" else {row: row for row in asked}
        measured[step.kind] = {row: found[parent] for row, parent in about.items() if parent in found}
    return pairs, measured


def _rows(store: Store, step: Step) -> list[Row]:
    return [*from_table(ROW_TYPES[step.kind], store.rows(step.kind, step.key))]
