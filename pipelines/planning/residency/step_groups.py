"""The input of the phase search: groups of steps, and which models fit in memory together.

Steps of one model that depend on the same steps run at the same time and form one *group*. Groups and models are
numbered, and sets of them are bit masks, which is fast for thousands of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate

from cluster.resources.inventory import Inventory
from cluster.resources.packing import Bundle, fits, free_nodes, max_replicas_that_fit
from cluster.resources.placement import ResourceRequest
from pipelines.study.graph.steps.step import Step

ROUNDING = 1e-9


def bit_indices(mask: int) -> Iterator[int]:
    """Yield the indices of the bits set in a mask, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class StepGroups:
    """Steps grouped by model and prerequisites. Groups are numbered in topological order."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.models: list[str] = []
        self.model_of_group: list[int] = []
        self.prerequisites: list[int] = []
        self._add(steps)
        self.dependents: list[list[int]] = [[] for _ in self.model_of_group]
        self.groups_of_model = [0] * len(self.models)
        self.followers: list[dict[int, int]] = [{} for _ in self.models]
        self._connect()

    def _add(self, steps: Iterable[Step]) -> None:
        models: dict[str, int] = {}
        groups: dict[tuple[int, int], int] = {}
        group_of_step: dict[str, int] = {}
        for step in steps:
            model = models.setdefault(step.params.model, len(models))
            needs = sum(
                1 << group for group in {group_of_step[one.key] for one in step.inputs if one.key in group_of_step}
            )
            last = needs.bit_length() - 1
            if needs.bit_count() == 1 and self.model_of_group[last] == model:
                group_of_step[step.key] = last
                continue
            group_of_step[step.key] = group = groups.setdefault((model, needs), len(self.model_of_group))
            if group == len(self.model_of_group):
                self.model_of_group.append(model)
                self.prerequisites.append(needs)
        self.models = list(models)

    def _connect(self) -> None:
        """Fill the reverse relations.

        `dependents` are the groups that need a group, `groups_of_model` the groups of a model. `followers` has for each
        model the masks of models that depend on it, with the mask of the groups on which they depend.
        """
        after = [0] * len(self.model_of_group)
        for group in reversed(range(len(self.model_of_group))):
            model = self.model_of_group[group]
            self.groups_of_model[model] |= 1 << group
            for needed in bit_indices(self.prerequisites[group]):
                self.dependents[needed].append(group)
                after[needed] |= after[group] | 1 << model
            mask = after[group] & ~(1 << model)
            self.followers[model][mask] = self.followers[model].get(mask, 0) | 1 << group

    def initial_groups(self) -> int:
        """Return the mask of groups without prerequisites."""
        return sum(1 << group for group, needs in enumerate(self.prerequisites) if not needs)

    def run_ready(self, done: int, ready: int, resident: int) -> tuple[int, int, int]:
        """Run all groups that resident models can run. Return masks of done and ready groups and active models."""
        active = 0
        todo = ready & sum(self.groups_of_model[model] for model in bit_indices(resident))
        while todo:
            group = todo.bit_length() - 1
            active |= 1 << self.model_of_group[group]
            todo ^= 1 << group
            ready ^= 1 << group
            done |= 1 << group
            for opened in self.dependents[group]:
                if not self.prerequisites[opened] & ~done:
                    ready |= 1 << opened
                    todo |= (resident >> self.model_of_group[opened] & 1) << opened
        return done, ready, active

    def pending_models(self, done: int) -> int:
        """Return the mask of models with groups that are not done."""
        return sum(1 << model for model, owned in enumerate(self.groups_of_model) if owned & ~done)

    def waiting_models(self, done: int) -> list[int]:
        """Return for each model the mask of the other models that wait for it."""
        return [self._models_waiting_for(model, done) for model in range(len(self.models))]

    def _models_waiting_for(self, model: int, done: int) -> int:
        mask = 0
        for follower, groups in self.followers[model].items():
            if groups & ~done:
                mask |= follower
        return mask


class MemoryBudget:
    """Which models fit on the nodes of a cluster at the same time."""

    def __init__(self, sizes: Sequence[ResourceRequest], inventory: Inventory) -> None:
        self.nodes, self.bundles = free_nodes(inventory.nodes), [size.bundles(inventory) for size in sizes]
        cpus = [sum(each.cpus * number for each, number in one.items()) for one in self.bundles]
        gpus = [sum(each.gpus * number for each, number in one.items()) for one in self.bundles]
        self.demand = (cpus, gpus)
        self.supply = [
            sum(amounts) + ROUNDING
            for amounts in ([n.cpus for n in inventory.nodes], [n.gpus for n in inventory.nodes])
        ]
        self.cluster_share = [max(c / self.supply[0], g / self.supply[1]) for c, g in zip(*self.demand, strict=True)]
        self.fits, self.max_fitting = cache(self._fits), cache(self._max_fitting)

    def _fits(self, models: int) -> bool:
        """Return whether these models fit together. A single model always does: callers reject those that never fit."""
        if models & (models - 1) == 0:
            return True
        return fits(sum((self.bundles[model] for model in bit_indices(models)), Counter[Bundle]()), self.nodes)

    def _max_fitting(self, models: int, beside: int | None = None) -> int:
        """Return an upper bound for how many of these models fit together, or together with the model `beside`."""
        together = models | (0 if beside is None else 1 << beside)
        if self.fits(together):
            return models.bit_count()
        counts = [self._max_of_smallest(together) - (beside is not None)]
        for asks, have in zip(self.demand, self.supply, strict=True):
            left = have if beside is None else have - asks[beside]
            counts.append(_count_smallest_fitting(sorted(asks[model] for model in bit_indices(models)), left))
        return max(min(counts), int(beside is None))

    def _max_of_smallest(self, models: int) -> int:
        """Return how many would fit if each of these models had the smallest CPU and GPU demand of all."""
        found = [self.bundles[model] for model in bit_indices(models)]
        cpus, gpus = (min(each[:2][place] for one in found for each in one) for place in (0, 1))
        count = min(one.total() for one in found)
        return max_replicas_that_fit(Bundle(cpus, gpus), count * len(found), self.nodes) // count


def _count_smallest_fitting(demand: Iterable[float], supply: float) -> int:
    """Return how many of the smallest demands fit. `demand` is in ascending order."""
    return sum(total <= supply for total in accumulate(demand))
