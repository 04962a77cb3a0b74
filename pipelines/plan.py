"""What is done, what will run, and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pipelines.store.store import Store
from pipelines.study.estimate import estimate
from pipelines.study.grid import Grid, build
from pipelines.study.spec import Study
from pipelines.study.steps import Kind, Step

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """The study's grid against a store. `pending` is in an order that can be run; `seconds` estimates by key."""

    grid: Grid
    done: frozenset[str]
    pending: tuple[Step, ...]
    seconds: Mapping[str, float]

    def pending_of(self, *kinds: Kind) -> tuple[Step, ...]:
        """Unfinished steps of some kinds."""
        return tuple(step for step in self.pending if step.kind in kinds)


def make_plan(study: Study, folder: Path, store: Store) -> Plan:
    """Plan a checked study whose file lies in `folder`."""
    grid = build(study, folder)
    done = store.done() & grid.steps.keys()
    pending = tuple(step for key, step in grid.steps.items() if key not in done)
    return Plan(grid, done, pending, estimate(study, folder, grid))
