"""What is done, what will run, and how long that may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from pipelines.planning.estimate import ASSUMED_GPU, estimate
from pipelines.planning.machine_types import Kinds
from pipelines.planning.profile import Profile, load_profile, misfit
from pipelines.planning.workload import Line, Work, role, workload
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.step import Kind, Step
from pipelines.study.spec.study import Study

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """The study's grid against a store. `pending` is in an order that can be run; `works` and `seconds` are estimates
    by key, from the study's `profile` if there is one, on the `kinds` of machines that there are.

    `seconds` are 0 for the steps in `unknown`, whose models have no size that is known. `lines` are those of the
    profile that hold here, by role; `left_out` says by model why others do not.
    """

    grid: Grid
    done: frozenset[str]
    pending: tuple[Step, ...]
    kinds: Kinds
    works: Mapping[str, Work] = field(default_factory=dict[str, Work])
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    unknown: frozenset[str] = frozenset()
    profile: Profile | None = None
    lines: Mapping[str, Line] = field(default_factory=dict[str, Line])
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def basis(self) -> str:
        """Where the estimates come from."""
        gpus = f" (GPUs: {told})" if (told := ", ".join(self._gpus())) else ""
        assumed = f"published throughputs{gpus} and assumed rates"
        if self.profile is None:
            return f"{assumed}, without a profile"
        others = "; ".join(f"{model} {why}" for model, why in self.left_out.items())
        return self.profile.told + (f", but not for all: {others}. These: from {assumed}" if others else "")

    @property
    def overhead(self) -> float:
        """Seconds of a run beside its steps."""
        return self.profile.overhead if self.profile else 0.0

    def line(self, step: Step) -> Line | None:
        """What the profile measured of steps like this one."""
        return self.lines.get(role(step)) if self.lines else None

    def pending_of(self, *kinds: Kind) -> tuple[Step, ...]:
        """Unfinished steps of some kinds."""
        return tuple(step for step in self.pending if step.kind in kinds)

    def planned(self, steps: Iterable[Step]) -> str:
        """How long some steps may take, one after another, for people."""
        keys = {step.key for step in steps}
        return "unknown" if keys & self.unknown else f"{sum(self.seconds[key] for key in keys):,.0f} s"

    def on(self, kinds: Kinds) -> Plan:
        """The plan with its estimates for these kinds of machines."""
        lines, left_out = _fitting(self.profile, self.grid, kinds) if self.profile else ({}, {})
        works = workload(self.grid, lines)
        found = estimate(self.grid, works, lines, kinds)
        unknown = frozenset(key for key, seconds in found.items() if seconds is None)
        seconds = {key: seconds or 0.0 for key, seconds in found.items()}
        return replace(self, kinds=kinds, works=works, seconds=seconds, unknown=unknown, lines=lines, left_out=left_out)

    def _gpus(self) -> list[str]:
        """The kinds of GPUs whose published throughputs are used."""
        asking = [step for step in self.pending if self.works[step.key].model and not self.line(step)]
        known = [step for step in asking if self.kinds.asked(step).gpus and step.key not in self.unknown]
        return sorted({self.kinds.gpu(step) or f"taken for {ASSUMED_GPU}s" for step in known})


def make_plan(study: Study, folder: Path, store: Store, kinds: Kinds | None = None) -> Plan:
    """Plan a checked study whose file lies in `folder`, for machines of some kinds."""
    grid = build(study, folder)
    done = store.done() & grid.steps.keys()
    pending = tuple(step for key, step in grid.steps.items() if key not in done)
    kinds = kinds or Kinds(study, folder)
    return Plan(grid, done, pending, kinds, profile=load_profile(store, study.study)).on(kinds)


def _fitting(profile: Profile, grid: Grid, kinds: Kinds) -> tuple[dict[str, Line], dict[str, str]]:
    """The profile's lines that hold for this study on these machines, and by model why others do not."""
    steps = {role(step): step for step in grid.steps.values()}
    wrong = {name: why for name, step in steps.items() if (why := misfit(step, profile.lines.get(name), kinds))}
    lines = {name: line for name, line in profile.lines.items() if name not in wrong}
    return lines, {getattr(steps[name].job, "model", ""): why for name, why in wrong.items()}
