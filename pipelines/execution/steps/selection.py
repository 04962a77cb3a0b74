"""Runs selections. Each is committed as a step with the selected pairs, and a reason for each omitted pair."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

from rich.markup import escape

from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.operators.select.car import selection_warning
from pipelines.operators.select.measurements import read_measurements
from pipelines.operators.select.select import reward_values, select_pairs
from pipelines.planning.plan import Plan
from pipelines.rows.types import ResponseRow, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.students import SelectParams
from pipelines.study.graph.steps.step import Step

CACHED_SETS = 4096  # cached sizes of rival selections


def run_selections(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending selections, whose inputs are finished; return the plan with them finished."""
    steps = plan.pending_of("select")
    for step in steps:
        manifest = run_selection(context.store, step)
        context.progress.finish_step(manifest)
        if warning := manifest.extra["warning"]:
            context.progress.print(f"[yellow]{step.label}[/yellow]: {escape(warning)}")
    return plan.with_finished(step.key for step in steps)


def run_selection(store: Store, step: Step) -> Manifest:
    """Run and commit one selection.

    The step's inputs are its own answers and their measurements, followed by those of each rival selection.
    """
    started, job = time.monotonic(), step.params
    assert isinstance(job, SelectParams)
    size = 1 + len(job.selection.needs)
    own, *rivals = (step.inputs[low : low + size] for low in range(0, len(step.inputs), size))
    limit = min((_selected_count(store.url, job, rival) for rival in rivals), default=None)
    pairs, measured = _read(store, job, own)
    rows, left_out = select_pairs(
        pairs, measured, job.selection, job.seed, step.key, limit, job.truncated == "keep", job.share
    )
    warning_text = selection_warning(reward_values(measured), job.selection.mode) if job.selection.by == "car" else ""
    seconds = time.monotonic() - started
    return commit_rows(store, step, [*rows], left_out, len(pairs), seconds, {"warning": warning_text})


def _read(
    store: Store, job: SelectParams, steps: Sequence[Step]
) -> tuple[list[ResponseRow], dict[str, dict[str, Row]]]:
    answers, *measures = steps
    return read_measurements(store, answers, dict(zip(job.selection.needs, measures, strict=True)))


@lru_cache(maxsize=CACHED_SETS)
def _selected_count(url: str, job: SelectParams, steps: tuple[Step, ...]) -> int:
    """Return the number of pairs that the same selection would choose from a rival's set."""
    pairs, measured = _read(Store(url), job, steps)
    keep = job.truncated == "keep"
    return len(select_pairs(pairs, measured, job.selection, job.seed, "", keep_truncated=keep)[0])
