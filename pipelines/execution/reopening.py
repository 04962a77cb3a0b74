"""Reopens finished steps that have failed rows, so that a run asks for these rows again (`run --retry-failed`).

A row-wise step with failed rows becomes unfinished and keeps its other rows. So do the row-wise steps that are made
from it: they lack only the rows that derive from failed ones. Steps that are made from whole sets (a selection, a
training, ...) are computed again, and so are all that are made from those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipelines.execution.runtime.recovery import invalidate
from pipelines.planning.plan import Plan
from pipelines.store.failed_rows import reopen
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step

Again = Literal["failed rows", "all rows"]


def find_reopened(store: Store, plan: Plan) -> Mapping[str, Again]:
    """Return which finished steps have to be recomputed, by key, and which of their rows. A step follows its inputs."""
    found: dict[str, Again] = {}
    for step in plan.grid.steps.values():
        if step.key not in plan.done:
            continue
        again = [found[needed.key] for needed in step.inputs if needed.key in found]
        if step.kind != "seeds" and store.manifest(step.kind, step.key).account.failed:
            again.append("failed rows")
        if again:
            found[step.key] = "failed rows" if step.params.row_wise and "all rows" not in again else "all rows"
    return found


def reopen_steps(store: Store, steps: Mapping[str, Step], again: Mapping[str, Again]) -> None:
    """Make steps unfinished. Dependents come first, so that a finished step never lacks an input."""
    for key in reversed([*again]):
        step = steps[key]
        if again[key] == "failed rows":
            reopen(store, step.kind, key)
        else:
            invalidate(store, step)


def failed_rows(store: Store, plan: Plan) -> tuple[int, list[str]]:
    """Return the number of failed rows in the finished steps of a plan, and the labels of steps without another row."""
    accounts = [
        (step.label, store.manifest(step.kind, step.key).account)
        for step in plan.grid.steps.values()
        if step.key in plan.done and step.kind != "seeds"
    ]
    whole = [label for label, account in accounts if account.failed and account.failed == account.rows_in]
    return sum(account.failed for _, account in accounts), whole
