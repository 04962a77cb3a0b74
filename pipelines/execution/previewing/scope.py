"""Which steps and rows a preview has: those that single seeds lead to, new or finished before."""

from __future__ import annotations

from collections.abc import Collection, Generator

from pipelines.execution.previewing.walk import Walk
from pipelines.planning.plan import Plan
from pipelines.rows.arrow import from_table
from pipelines.rows.types import Rejection, Row
from pipelines.store.partitions import partition_of
from pipelines.store.shards import read_partition_rows
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step

STARTS = ("seeds", "given")


def reachable(plan: Plan) -> Generator[Step]:
    """Yield the unfinished row-wise steps that can start from single seeds, without sandboxes, in their order."""
    ready = plan.done | {step.key for step in plan.pending_of(*STARTS)}
    for step in plan.pending_row_wise:
        source, *others = step.inputs
        known = source.key in ready and all(needed.key in plan.done for needed in others)
        if known and step.kind != "verdict" and not step.params.sandbox_level:
            ready |= {step.key}
            yield step


def unreachable(plan: Plan, steps: Collection[Step]) -> list[Step]:
    """Return the first steps that a preview leaves out before the selections: not those that only follow from them."""
    shown = plan.done | {step.key for step in steps}
    early = [step for step in plan.pending if step.kind not in ("select", "train", "evaluate", "verdict", *STARTS)]
    return [step for step in early if step.key not in shown and all(each.key in shown for each in step.inputs)]


def read_finished(store: Store, plan: Plan, count: int, walk: Walk) -> dict[str, tuple[int, int]]:
    """Read what the finished steps made of evenly spaced seeds into the walk.

    Returns:
        Of each seeds step, by key, the number of all seeds and of those.
    """
    totals: dict[str, tuple[int, int]] = {}
    chosen: dict[str, frozenset[int]] = {}  # the indices of the seeds, by the key of a step that derives from them
    for key, step in plan.grid.steps.items():
        if key not in plan.done:
            continue
        if step.kind == "seeds":
            indices = [
                index for table in store.tables("seeds", key, columns=["index"]) for index in table["index"].to_pylist()
            ]
            some = min(count, len(indices))
            chosen[key] = frozenset(indices[number * len(indices) // some] for number in range(some))
            totals[key] = len(indices), some
        elif not (step.params.row_wise or step.kind == "given") or step.inputs[0].key not in chosen:
            continue
        else:
            chosen[key] = chosen[step.inputs[0].key]
        walk.rows[key] += _rows_of(store, step, chosen[key])
    return totals


def _rows_of(store: Store, step: Step, indices: frozenset[int]) -> list[Row]:
    """Return the rows and rejections of a finished step that derive from seeds with these indices."""
    found: list[Row] = []
    for partition in sorted({partition_of(index) for index in indices}):
        found += [row for row in read_partition_rows(store, step.kind, step.key, partition) if row.index in indices]
    account = store.manifest(step.kind, step.key).account
    if step.kind != "seeds" and account.rejected + account.failed:
        for table in store.tables(step.kind, step.key, "rejected"):
            found += [row for row in from_table(Rejection, table) if row.index in indices]
    return found
