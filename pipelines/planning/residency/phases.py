"""More models than fit: row-wise steps in phases, so that each model is loaded as seldom as possible.

Loading a model is the dearest thing that a run does. Within a phase the same models stay in memory, and rows walk
through all of its steps as one stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.resources.inventory import Inventory
from cluster.resources.placement import ResourceRequest
from pipelines.planning.residency.beam_search import min_remaining_loads, search_phases
from pipelines.planning.residency.step_groups import MemoryBudget, StepGroups, bit_indices
from pipelines.study.graph.step import Step


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run in which the same models are resident.

    `models`: those, sorted. `model_loads`: the ones of them that come in at its start, sorted. `steps`: what is
    finished by its end, in an order that can be run.
    """

    models: tuple[str, ...]
    model_loads: tuple[str, ...]
    steps: tuple[Step, ...]


def order_phases(
    steps: Sequence[Step], requests: Mapping[str, ResourceRequest], inventory: Inventory
) -> tuple[Phase, ...]:
    """The phases in which to run unfinished row-wise steps, with as few loads as can be found, then as few phases.

    `steps` are in an order that can be run; inputs that are not among them are finished. Models may take all of the
    nodes, as the stream itself asks for no CPU of its own. The search is exact for up to six models and a few dozen
    groups of steps, and a beam beyond. A model that does not fit even alone gets a phase of its own: refuse it before.
    """
    if not steps:
        return ()
    groups = StepGroups(steps)
    masks = search_phases(groups, _memory_budget(groups, requests, inventory))
    return _phases(steps, [{groups.models[number] for number in bit_indices(mask)} for mask in masks])


def model_loads(phases: Iterable[Phase]) -> int:
    """How often a model comes in, in all phases."""
    return sum(len(phase.model_loads) for phase in phases)


def min_model_loads(steps: Sequence[Step], requests: Mapping[str, ResourceRequest], inventory: Inventory) -> int:
    """A number of loads below which no order of these steps can get, from an empty cluster."""
    groups = StepGroups(steps)
    return min_remaining_loads(groups, _memory_budget(groups, requests, inventory), 0, 0)


def _memory_budget(groups: StepGroups, requests: Mapping[str, ResourceRequest], inventory: Inventory) -> MemoryBudget:
    return MemoryBudget([requests[name] for name in groups.models], inventory)


def _phases(steps: Sequence[Step], residents: Sequence[set[str]]) -> tuple[Phase, ...]:
    waiting, before = list(steps), set[str]()
    phases: list[Phase] = []
    for resident in residents:
        models = resident & {step.params.model for step in waiting}
        ran, waiting = _runnable(waiting, models)
        phases.append(Phase(tuple(sorted(models)), tuple(sorted(models - before)), tuple(ran)))
        before = models
    return tuple(phases)


def _runnable(steps: Sequence[Step], models: set[str]) -> tuple[list[Step], list[Step]]:
    """The steps that these models can run without others, and the rest."""
    ran: list[Step] = []
    waiting: dict[str, Step] = {}
    for step in steps:
        if step.params.model in models and not any(needed.key in waiting for needed in step.inputs):
            ran.append(step)
        else:
            waiting[step.key] = step
    return ran, [*waiting.values()]
