"""What is done, what will run, and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pipelines.profile import Profile, load_profile
from pipelines.store.store import Store
from pipelines.study.estimate import ASSUMED_GPU, estimate
from pipelines.study.grid import Grid, build
from pipelines.study.spec import Study
from pipelines.study.steps import Kind, Step
from pipelines.study.workload import Line, Work, role, workload

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """The study's grid against a store. `pending` is in an order that can be run; `works` and `seconds` are estimates
    by key, from the study's `profile` if there is one."""

    grid: Grid
    done: frozenset[str]
    pending: tuple[Step, ...]
    works: Mapping[str, Work]
    seconds: Mapping[str, float]
    profile: Profile | None = None

    @property
    def basis(self) -> str:
        """Where the estimates come from."""
        return (
            self.profile.told
            if self.profile
            else f"published throughputs (GPUs: of {ASSUMED_GPU}s) and assumed rates, without a profile"
        )

    @property
    def overhead(self) -> float:
        """Seconds of a run beside its steps."""
        return self.profile.overhead if self.profile else 0.0

    def line(self, step: Step) -> Line | None:
        """What the profile measured of steps like this one."""
        return self.profile.lines.get(role(step)) if self.profile else None

    def pending_of(self, *kinds: Kind) -> tuple[Step, ...]:
        """Unfinished steps of some kinds."""
        return tuple(step for step in self.pending if step.kind in kinds)


def make_plan(study: Study, folder: Path, store: Store) -> Plan:
    """Plan a checked study whose file lies in `folder`."""
    grid = build(study, folder)
    done = store.done() & grid.steps.keys()
    pending = tuple(step for key, step in grid.steps.items() if key not in done)
    profile = load_profile(store, study.study)
    lines = profile.lines if profile else {}
    works = workload(grid, lines)
    return Plan(grid, done, pending, works, estimate(study, folder, grid, works, lines), profile)
