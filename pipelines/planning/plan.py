"""The plan of a study: which steps are done, which will run, and the estimated time of these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.garbage import collection_paused
from pipelines.planning.estimate import ASSUMED_GPU, RUN_START_SECONDS, estimate_seconds
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.profile import Profile, load_profile, profile_mismatch
from pipelines.planning.seed_sets import measure_seed_sets
from pipelines.planning.workload import InputSize, LinearCost, StepWorkload, estimate_workloads, workload_class
from pipelines.rows.kinds import Kind
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.prompt_names import unused_prompts
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.prompts.files import read_catalog
from pipelines.study.spec.study import Study

BEFORE_ROW_WISE = frozenset[Kind]({"seeds", "given", "optimize", "augment", "verify", "pair"})


@dataclass(frozen=True, slots=True)
class Plan:
    """A study's grid compared with a store, with estimates.

    Attributes:
        grid: The study's grid.
        done: The keys of the finished steps.
        pending: The other steps, each after its inputs.
        machine_types: The cluster's machine types, for which the estimates are made.
        seed_sets: The sizes of the study's seed sets by the keys of their steps.
        workloads: The estimated work of each step by key.
        seconds: The estimated seconds of each step by key; 0 for `unknown_steps`.
        unknown_steps: The keys of the steps whose models have an unknown size.
        profile: The study's profile, if it has one.
        costs: The profile's costs that apply to this plan, by workload class.
        mismatches: Why the profile's other costs do not apply, by model.
    """

    grid: Grid
    done: frozenset[str]
    pending: tuple[Step, ...]
    machine_types: MachineTypes
    seed_sets: Mapping[str, InputSize] = field(default_factory=dict[str, InputSize])
    workloads: Mapping[str, StepWorkload] = field(default_factory=dict[str, StepWorkload])
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    unknown_steps: frozenset[str] = frozenset()
    profile: Profile | None = None
    costs: Mapping[str, LinearCost] = field(default_factory=dict[str, LinearCost])
    mismatches: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def basis(self) -> str:
        """The basis of the estimates, as text for display."""
        gpus = f" (GPUs: {gpus_used})" if (gpus_used := ", ".join(self._assumed_gpus())) else ""
        assumed = f"published throughputs{gpus} and assumed rates"
        if self.profile is None:
            return f"{assumed}, without a profile"
        others = "; ".join(f"{model} {why}" for model, why in self.mismatches.items())
        return self.profile.description + (f", but not for all: {others}. These: from {assumed}" if others else "")

    @property
    def overhead(self) -> float:
        """Seconds of a run that no step accounts for: by the profile, or else assumed if a model runs."""
        if self.profile:
            return self.profile.overhead
        return RUN_START_SECONDS if any(self.workloads[step.key].model for step in self.pending) else 0.0

    def cost_of(self, step: Step) -> LinearCost | None:
        """Return the profile's cost for the step's workload class; None if it has no applicable one."""
        return self.costs.get(workload_class(step)) if self.costs else None

    def pending_of(self, *kinds: Kind) -> tuple[Step, ...]:
        """Return the unfinished steps of some kinds."""
        return tuple(step for step in self.pending if step.kind in kinds)

    def with_finished(self, keys: Iterable[str]) -> Plan:
        """Return the plan with the steps of these keys moved from `pending` to `done`.

        Keys that are not in the grid are ignored.
        """
        done = self.done | (self.grid.steps.keys() & set(keys))
        return replace(self, done=done, pending=tuple(step for step in self.pending if step.key not in done))

    def limited_to(self, keys: Iterable[str]) -> Plan:
        """Return the plan with only those pending steps that the steps of these keys need, and these themselves."""
        needed, wanted = set[str](), [self.grid.steps[key] for key in keys]
        while wanted:
            step = wanted.pop()
            if step.key not in needed:
                needed.add(step.key)
                wanted.extend(step.inputs)
        return replace(self, pending=tuple(step for step in self.pending if step.key in needed))

    def limited_to_probe(self) -> Plan:
        """Return the plan with only those pending steps that a probe of the first seeds can run.

        These are row-wise steps, and the small ones before them. Steps that need all rows of others are not among them.
        """
        ready, pending = set(self.done), list[Step]()
        for step in self.pending:
            row_wise = step.params.row_wise and step.kind != "verdict"
            if (row_wise or step.kind in BEFORE_ROW_WISE) and all(needed.key in ready for needed in step.inputs):
                ready.add(step.key)
                pending.append(step)
        return replace(self, pending=tuple(pending))

    @property
    def pending_row_wise(self) -> tuple[Step, ...]:
        """The unfinished steps whose rows an operator processes one by one."""
        return tuple(step for step in self.pending if step.params.row_wise)

    def planned_time(self, steps: Iterable[Step]) -> str:
        """Return the total estimated time of some steps, run one after another, as text for display."""
        keys = {step.key for step in steps}
        return "unknown" if keys & self.unknown_steps else f"{sum(self.seconds[key] for key in keys):,.0f} s"

    def on_machines(self, machine_types: MachineTypes) -> Plan:
        """Return the plan with its estimates for these machine types."""
        costs, mismatches = _applicable_costs(self.profile, self.grid, machine_types) if self.profile else ({}, {})
        workloads = estimate_workloads(self.grid, costs, self.seed_sets)
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
        """Return the GPU types whose published throughputs the estimates use."""
        asking = [step for step in self.pending if self.workloads[step.key].model and not self.cost_of(step)]
        known = [
            step for step in asking if self.machine_types.request(step).gpus and step.key not in self.unknown_steps
        ]
        return sorted({self.machine_types.gpu_of(step) or f"taken for {ASSUMED_GPU}s" for step in known})


@collection_paused()
def make_plan(
    study: Study,
    folder: Path,
    store: Store,
    machine_types: MachineTypes | None = None,
    finished: Collection[str] | None = None,
) -> Plan:
    """Return the plan of a checked study whose file is in `folder`, for a cluster's machine types.

    `finished` are the keys of the steps that are finished; by default the store is asked.

    Raises:
        InputError: If a seed file that is not in the store yet cannot be read to its end.
    """
    grid = build(study, folder)
    done = frozenset(store.finished_keys() if finished is None else finished) & grid.steps.keys()
    pending = tuple(step for key, step in grid.steps.items() if key not in done)
    machine_types = machine_types or MachineTypes(study, folder)
    seed_sets = measure_seed_sets(grid.steps, done, folder, store)
    plan = Plan(grid, done, pending, machine_types, seed_sets, profile=load_profile(store, study.study))
    return plan.on_machines(machine_types)


def _applicable_costs(
    profile: Profile, grid: Grid, machine_types: MachineTypes
) -> tuple[dict[str, LinearCost], dict[str, str]]:
    """Return the profile's costs that apply to this study on these machines, and by model why the others do not."""
    steps = {workload_class(step): step for step in grid.steps.values()}
    mismatches = {
        name: why
        for name, step in steps.items()
        if (why := profile_mismatch(step, profile.lines.get(name), machine_types))
    }
    costs = {name: line for name, line in profile.lines.items() if name not in mismatches}
    return costs, {steps[name].params.model: why for name, why in mismatches.items()}


def prompt_notes(loaded: LoadedStudy, grid: Grid) -> Iterator[str]:
    """Yield a line for each prompt that the study replaces and no step of it uses."""
    payloads = (step.payload for step in grid.steps.values())
    for name in unused_prompts(loaded.study.prompts, read_catalog(loaded.study.prompts, loaded.folder), payloads):
        place = f"{loaded.path.name}:{loaded.line_of(('prompts', name))}: " if loaded.path else ""
        yield f"{place}prompts.{name}: no step of the study uses it"
