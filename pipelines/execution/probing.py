"""What a probe runs: the row-wise steps of a plan, for their first seeds, and what these steps start from."""

from __future__ import annotations

from dataclasses import replace

from pipelines.planning.plan import Plan
from pipelines.study.graph.steps.step import Step

RUN_WHOLE = frozenset({"seeds", "given", "optimize", "augment", "verify", "pair"})
"""The kinds of steps that run before the row-wise ones. They are small, or ask no model."""


def probe_of(plan: Plan) -> Plan:
    """Limit a plan to the steps that a probe runs. Steps that need all rows of others are not among them."""
    ready, pending = set(plan.done), list[Step]()
    for step in plan.pending:
        row_wise = step.params.row_wise and step.kind != "verdict"
        if (row_wise or step.kind in RUN_WHOLE) and all(needed.key in ready for needed in step.inputs):
            ready.add(step.key)
            pending.append(step)
    return replace(plan, pending=tuple(pending))
