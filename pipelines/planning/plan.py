"""What is done, what will run, and how long that may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.planning.estimate import ASSUMED_GPU, estimate_seconds
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.profile import Profile, load_profile, profile_mismatch
from pipelines.planning.workload import LinearCost, StepWorkload, estimate_workloads, workload_class
from pipelines.rows.types import Kind
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.step import Step
from pipelines.study.spec.study import Study


@dataclass(frozen=True, slots=True)
class Plan:
    """The study's grid against a store. `pending` is in an order that can be run; `workloads` and `seconds` are
    estimates by key, from the study's `profile` if there is one, on the `machine_types` of machines that there are.

    `seconds` are 0 for the steps in `unknown_steps`, whose models have no size that is known. `costs` are those of the
    profile that hold here, by role; `mismatches` says by model why others do not.
    """

    grid: Grid
    done: frozenset[str]
    pending: tuple[Step, ...]
    machine_types: MachineTypes
    workloads: Mapping[str, StepWorkload] = field(default_factory=dict[str, StepWorkload])
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    unknown_steps: frozenset[str] = frozenset()
    profile: Profile | None = None
    costs: Mapping[str, LinearCost] = field(default_factory=dict[str, LinearCost])
    mismatches: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def basis(self) -> str:
        """Where the estimates come from."""
        gpus = f" (GPUs: {gpus_used})" if (gpus_used := ", ".join(self._assumed_gpus())) else ""
        assumed = f"published throughputs{gpus} and assumed rates"
        if self.profile is None:
            return f"{assumed}, without a profile"
        others = "; ".join(f"{model} {why}" for model, why in self.mismatches.items())
        return self.profile.description + (f", but not for all: {others}. These: from {assumed}" if others else "")

    @property
    def overhead(self) -> float:
        """Seconds of a run beside its steps."""
        return self.profile.overhead if self.profile else 0.0

    def cost_of(self, step: Step) -> LinearCost | None:
        """What the profile measured of steps like this one."""
        return self.costs.get(workload_class(step)) if self.costs else None

    def pending_of(self, *kinds: Kind) -> tuple[Step, ...]:
        """Unfinished steps of some kinds."""
        return tuple(step for step in self.pending if step.kind in kinds)

    def with_finished(self, keys: Iterable[str]) -> Plan:
        """Return the plan with the steps of these keys moved from `pending` to `done`.

        Keys that are not in the grid are ignored.
        """
        done = self.done | (self.grid.steps.keys() & set(keys))
        return replace(self, done=done, pending=tuple(step for step in self.pending if step.key not in done))

    @property
    def pending_row_wise(self) -> tuple[Step, ...]:
        """Unfinished steps whose rows an operator makes one by one."""
        return tuple(step for step in self.pending if step.params.row_wise)

    def planned_time(self, steps: Iterable[Step]) -> str:
        """How long some steps may take, one after another, for people."""
        keys = {step.key for step in steps}
        return "unknown" if keys & self.unknown_steps else f"{sum(self.seconds[key] for key in keys):,.0f} s"

    def on_machines(self, machine_types: MachineTypes) -> Plan:
        """The plan with its estimates for these kinds of machines."""
        costs, mismatches = _applicable_costs(self.profile, self.grid, machine_types) if self.profile else ({}, {})
        workloads = estimate_workloads(self.grid, costs)
        estimates = estimate_seconds(self.grid, workloads, costs, machine_types)
        unknown_steps = frozenset(key for key, seconds in estimates.items() if seconds is None)
        seconds = {key: seconds or 0.0 for key, seconds in estimates.items()}
        return replace(
            self,
            machine_types=machine_types,
            workloads=workloads,
            seconds=seconds,
            unknown_steps=unknown_steps,
            costs=costs,
            mismatches=mismatches,
        )

    def _assumed_gpus(self) -> list[str]:
        """The kinds of GPUs whose published throughputs are used."""
        asking = [step for step in self.pending if self.workloads[step.key].model and not self.cost_of(step)]
        known = [
            step for step in asking if self.machine_types.request(step).gpus and step.key not in self.unknown_steps
        ]
        return sorted({self.machine_types.gpu_of(step) or f"taken for {ASSUMED_GPU}s" for step in known})


def make_plan(study: Study, folder: Path, store: Store, machine_types: MachineTypes | None = None) -> Plan:
    """Plan a checked study whose file lies in `folder`, for machines of some kinds."""
    grid = build(study, folder)
    done = store.finished_keys() & grid.steps.keys()
    pending = tuple(step for key, step in grid.steps.items() if key not in done)
    machine_types = machine_types or MachineTypes(study, folder)
    return Plan(grid, done, pending, machine_types, profile=load_profile(store, study.study)).on_machines(machine_types)


def _applicable_costs(
    profile: Profile, grid: Grid, machine_types: MachineTypes
) -> tuple[dict[str, LinearCost], dict[str, str]]:
    """The profile's lines that hold for this study on these machines, and by model why others do not."""
    steps = {workload_class(step): step for step in grid.steps.values()}
    mismatches = {
        name: why
        for name, step in steps.items()
        if (why := profile_mismatch(step, profile.lines.get(name), machine_types))
    }
    costs = {name: line for name, line in profile.lines.items() if name not in mismatches}
    return costs, {steps[name].params.model: why for name, why in mismatches.items()}
