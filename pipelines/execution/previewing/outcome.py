"""Arranges the rows of a preview as trees, and estimates from them what the whole run needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

from pipelines.execution.previewing.model import ModelEstimate, PreviewNode
from pipelines.execution.previewing.walk import Usage, Walk
from pipelines.planning.plan import Plan
from pipelines.rows.types import Row
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.step import Step


def trees(plan: Plan, walk: Walk, loaded: LoadedStudy) -> tuple[PreviewNode, ...]:
    """Return the rows of the walk as trees, one for each seed."""
    below: dict[tuple[str, str], list[tuple[Step, Row]]] = defaultdict(list)
    for key, step in plan.grid.steps.items():
        for row in walk.rows.get(key, ()) if step.kind != "seeds" else ():
            below[step.inputs[0].key, row.parent_id].append((step, row))

    def node(step: Step, row: Row) -> PreviewNode:
        used = walk.usage.get((step.key, row.id)) or _stored_usage(row)
        model = loaded.study.models.get(step.params.model)
        dollars = model.price.dollars(used.tokens_in, used.tokens_out) if model and model.price else None
        children = tuple(node(*each) for each in below[step.key, row.id])
        return PreviewNode(step, row, used.tokens_in, used.tokens_out, dollars, children)

    starts = [step for step in plan.grid.steps.values() if step.kind == "seeds"]
    return tuple(node(step, row) for step in starts for row in walk.rows.get(step.key, ()))


def _stored_usage(row: Row) -> Usage:
    """Return the tokens of a row of a finished step: those that it has itself."""
    written = getattr(row, "tokens_out", 0)
    total = sum(cast(Sequence[int], written)) if isinstance(written, list) else written
    return Usage(tokens_in=getattr(row, "tokens_in", 0), tokens_out=total)


def whole_run(
    plan: Plan, walk: Walk, loaded: LoadedStudy, totals: Mapping[str, tuple[int, int]]
) -> tuple[ModelEstimate, ...]:
    """Return what the unfinished steps of the preview are expected to ask of each model for all seeds."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for step in plan.pending:
        total, some = totals.get(_seeds_of(step), (0, 1))
        for row in walk.rows.get(step.key, ()):
            used, factor = walk.usage.get((step.key, row.id), Usage()), total / max(some, 1)
            found[step.params.model]["requests"] += round((used.asked + used.reused) * factor * 1000)
            found[step.params.model]["in"] += round(used.tokens_in * factor * 1000)
            found[step.params.model]["out"] += round(used.tokens_out * factor * 1000)
    estimates: list[ModelEstimate] = []
    for name, sums in found.items():
        requests, read, written = (round(sums[what] / 1000) for what in ("requests", "in", "out"))
        price = loaded.study.models[name].price
        estimates.append(ModelEstimate(name, requests, read, written, price.dollars(read, written) if price else None))
    return tuple(estimates)


def _seeds_of(step: Step) -> str:
    """Return the key of the seeds step that a step derives from."""
    while step.inputs:
        step = step.inputs[0]
    return step.key
