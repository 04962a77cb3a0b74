"""Row counts and times, by step and summed over kinds of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.results.report.data.report import StepAccount
from pipelines.study.graph.steps.params.table import STEP_PARAMS


@dataclass(frozen=True, slots=True)
class KindTotal:
    """Totals over all steps of one kind. Times are in seconds: `ran` in this run, `cached` in earlier ones."""

    kind: str
    steps: int
    reused: int
    rows_in: int
    rows_out: int
    rejected: int
    failed: int
    planned: float
    ran: float
    cached: float


def kind_totals(steps: Sequence[StepAccount]) -> list[KindTotal]:
    """Return one total per kind that occurs, in the order of the pipeline."""
    kinds = sorted(dict.fromkeys(step.kind for step in steps), key=_kind_position)
    return [_kind_total(kind, [step for step in steps if step.kind == kind]) for kind in kinds]


def sort_steps(steps: Sequence[StepAccount]) -> list[StepAccount]:
    """Return the steps in the order of the pipeline."""
    return sorted(steps, key=lambda step: _kind_position(step.kind))


def is_balanced(step: StepAccount) -> bool:
    """Return whether every input row is accounted for."""
    return step.rows_in == step.rows_out + step.rejected + step.failed


def _kind_position(kind: str) -> int:
    kinds: list[str] = [*STEP_PARAMS]
    return kinds.index(kind) if kind in kinds else len(kinds)


def _kind_total(kind: str, steps: Sequence[StepAccount]) -> KindTotal:
    return KindTotal(
        kind=kind,
        steps=len(steps),
        reused=sum(step.cached for step in steps),
        rows_in=sum(step.rows_in for step in steps),
        rows_out=sum(step.rows_out for step in steps),
        rejected=sum(step.rejected for step in steps),
        failed=sum(step.failed for step in steps),
        planned=sum(step.planned_seconds for step in steps),
        ran=sum(step.actual_seconds for step in steps if not step.cached),
        cached=sum(step.actual_seconds for step in steps if step.cached),
    )
