"""Divides row-wise steps into phases if not all models fit at once, with as few model loads as possible.

Loading a model is the most expensive operation of a run. Within a phase, the same models stay resident, and rows are
streamed through all of its steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cluster.resources.inventory import Inventory
from cluster.resources.placement import ResourceRequest
from pipelines.planning.residency.beam_search import min_remaining_loads, search_phases
from pipelines.planning.residency.step_groups import MemoryBudget, StepGroups, bit_indices
from pipelines.study.graph.steps.step import Step


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run in which the same models are resident.

    `models` are the resident models, `model_loads` those loaded at its start (both sorted). `steps` are the steps that
    it runs, in topological order.
    """

    models: tuple[str, ...]
    model_loads: tuple[str, ...]
    steps: tuple[Step, ...]


def order_phases(
    steps: Sequence[Step], requests: Mapping[str, ResourceRequest], inventory: Inventory
) -> tuple[Phase, ...]:
    """Return phases for unfinished row-wise steps, minimising the loads, then the number of phases.

    `steps` are in topological order; inputs that are not among them are finished. Models may use all resources of the
    nodes, because the stream itself reserves no CPU. The search is exact for up to six models and a few dozen groups of
    steps, and a beam search beyond. Callers must reject models that do not fit even alone; each gets a separate phase.
    """
    return _order_phases(tuple(steps), frozenset(requests.items()), inventory) if steps else ()


@lru_cache(maxsize=4)  # a plan shows its phases, and the time that they take
def _order_phases(
    steps: tuple[Step, ...], of_models: frozenset[tuple[str, ResourceRequest]], inventory: Inventory
) -> tuple[Phase, ...]:
    groups, requests = StepGroups(steps), dict(of_models)
    masks = search_phases(groups, _memory_budget(groups, requests, inventory))
    return _phases(steps, [{groups.models[number] for number in bit_indices(mask)} for mask in masks])


def model_loads(phases: Iterable[Phase]) -> int:
    """Return the number of model loads in all phases."""
    return sum(len(phase.model_loads) for phase in phases)


def min_model_loads(steps: Sequence[Step], requests: Mapping[str, ResourceRequest], inventory: Inventory) -> int:
    """Return a lower bound for the model loads of any order of these steps, starting with no resident models."""
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
    """Return the steps that these models can run without others, and the rest."""
    ran: list[Step] = []
    waiting: dict[str, Step] = {}
    for step in steps:
        if step.params.model in models and not any(needed.key in waiting for needed in step.inputs):
            ran.append(step)
        else:
            waiting[step.key] = step
    return ran, [*waiting.values()]
