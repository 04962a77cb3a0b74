"""The plan of a study: which steps are done, which will run where, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from cluster.launch.description import Cloud
from cluster.resources.inventory import Inventory, machine
from pipelines.api.rendering import as_html, as_text
from pipelines.api.views.plan import PlanView, show_plan, warnings
from pipelines.planning.cost import CostEstimate, PriceList, estimate_cost, wall_seconds
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.plan import make_plan
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy

DEFAULT_CLUSTER = "default"  # the cluster description that is part of evolgrid


class PlannedStep(NamedTuple):
    """A step of a plan. `seconds` is its estimated time: None if it is unknown or the step is done."""

    label: str
    kind: str
    key: str
    done: bool
    seconds: float | None


@dataclass(frozen=True, repr=False, eq=False)
class StudyPlan:
    """A study compared with a store: its steps, their cost, and what should be known before a run.

    `print(plan)` shows what `evolgrid plan` prints; a notebook shows it with colours.
    """

    view: PlanView

    @cached_property
    def steps(self) -> tuple[PlannedStep, ...]:
        """All steps, each after its inputs."""
        plan = self.view.plan
        unknown = plan.unknown_steps | plan.done
        return tuple(
            PlannedStep(
                step.label, step.kind, key, key in plan.done, None if key in unknown else plan.seconds.get(key, 0.0)
            )
            for key, step in plan.grid.steps.items()
        )

    @property
    def done(self) -> int:
        """The number of finished steps, which a run reuses."""
        return len(self.view.plan.done)

    @property
    def pending(self) -> int:
        """The number of steps that a run would execute."""
        return len(self.view.plan.pending)

    @cached_property
    def cost(self) -> CostEstimate:
        """The estimated tokens, GPU-hours, bytes and dollars of the pending steps."""
        return estimate_cost(self.view.loaded.study, self.view.loaded.folder, self.view.plan)

    @cached_property
    def seconds(self) -> float | None:
        """The estimated wall time of a run on the planned machines; None if it is unknown."""
        return wall_seconds(self.view.plan, self.view.loaded.study, self.view.cluster)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before a run, one sentence each."""
        return tuple(warnings(self.view))

    def show(self, console: Console, *, explain: bool = False, all_steps: bool = False) -> None:
        """Print the plan.

        With `explain`, also print why each step is not reused; with `all_steps`, all steps, however many.
        """
        show_plan(console, self.view, explain=explain, all_steps=all_steps)

    def __str__(self) -> str:
        return as_text(self.show)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.show)


def plan_study(
    loaded: LoadedStudy,
    store: Store,
    *,
    cpus: int | None = None,
    gpus: int | None = None,
    cluster: str | Path | None = None,
    cloud: Cloud = "aws",
) -> StudyPlan:
    """Return the plan of a checked study for this machine, for one with other numbers of CPUs and GPUs, or a cluster.

    Args:
        cluster: The path of a cluster description, or DEFAULT_CLUSTER. The plan has prices then, those of `cloud`.

    Raises:
        InputError: A seed file or the cluster description cannot be read.
    """
    inventory, price_list = _cluster_and_prices(cluster, cloud, cpus, gpus)
    machine_types = (
        price_list.machine_types(loaded.study, loaded.folder)
        if price_list
        else MachineTypes(loaded.study, loaded.folder, inventory)
    )
    step_plan = make_plan(loaded.study, loaded.folder, store, machine_types)
    return StudyPlan(PlanView(loaded, step_plan, store, inventory, price_list))


def _cluster_and_prices(
    cluster: str | Path | None, cloud: Cloud, cpus: int | None, gpus: int | None
) -> tuple[Inventory, PriceList | None]:
    """Return the machines to plan for, and their prices if a cluster description is given."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.prices import load as load_prices

    if cluster is None:
        return _planned_machine(cpus, gpus), None
    description = load(DEFAULT if cluster == DEFAULT_CLUSTER else Path(cluster))
    inventory = description.inventory() if cpus is None and gpus is None else _planned_machine(cpus, gpus)
    return inventory, PriceList(description, load_prices(), cloud)


def _planned_machine(cpus: int | None, gpus: int | None) -> Inventory:
    """Return a cluster of one node: this machine, with its CPUs and GPUs replaced by the given numbers."""
    (node,) = machine().nodes
    node = replace(node, cpus=node.cpus if cpus is None else cpus, gpus=node.gpus if gpus is None else gpus)
    return Inventory((node,))
