"""What matters of many steps for the order of loads: groups of steps, and which models have room side by side.

Steps of one model that wait for the same steps run at the same times: they are one *group*. Groups and models are
numbered, and sets of either are bit masks, which keeps thousands of steps quick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate

from cluster.resources.inventory import Inventory
from cluster.resources.packing import Bundle, fit, room_for, whole
from cluster.resources.placement import Request
from pipelines.study.graph.step import Step, model_of

ROUNDING = 1e-9


def bits(mask: int) -> Iterator[int]:
    """The numbers in a mask, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class Groups:
    """Steps by model and by what they wait for. Numbers ascend in an order that can be run."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.models: list[str] = []
        self.owner: list[int] = []
        self.needs: list[int] = []
        self._add(steps)
        self.opens: list[list[int]] = [[] for _ in self.owner]
        self.owned = [0] * len(self.models)
        self.followers: list[dict[int, int]] = [{} for _ in self.models]
        self._connect()

    def _add(self, steps: Iterable[Step]) -> None:
        models: dict[str, int] = {}
        groups: dict[tuple[int, int], int] = {}
        found: dict[str, int] = {}
        for step in steps:
            model = models.setdefault(model_of(step), len(models))
            needs = sum(1 << group for group in {found[one.key] for one in step.inputs if one.key in found})
            last = needs.bit_length() - 1
            if needs.bit_count() == 1 and self.owner[last] == model:
                found[step.key] = last
                continue
            found[step.key] = group = groups.setdefault((model, needs), len(self.owner))
            if group == len(self.owner):
                self.owner.append(model)
                self.needs.append(needs)
        self.models = list(models)

    def _connect(self) -> None:
        """`opens`: the groups that need a group; `owned`: a model's groups; `followers`: the models that come after a
        model, as masks, with the groups for which they wait."""
        after = [0] * len(self.owner)
        for group in reversed(range(len(self.owner))):
            model = self.owner[group]
            self.owned[model] |= 1 << group
            for needed in bits(self.needs[group]):
                self.opens[needed].append(group)
                after[needed] |= after[group] | 1 << model
            mask = after[group] & ~(1 << model)
            self.followers[model][mask] = self.followers[model].get(mask, 0) | 1 << group

    def start(self) -> int:
        """The groups that wait for nothing."""
        return sum(1 << group for group, needs in enumerate(self.needs) if not needs)

    def run(self, done: int, ready: int, resident: int) -> tuple[int, int, int]:
        """Run all that resident models can: what is done and ready then, and the models that had something to do."""
        active = 0
        todo = ready & sum(self.owned[model] for model in bits(resident))
        while todo:
            group = todo.bit_length() - 1
            active |= 1 << self.owner[group]
            todo ^= 1 << group
            ready ^= 1 << group
            done |= 1 << group
            for opened in self.opens[group]:
                if not self.needs[opened] & ~done:
                    ready |= 1 << opened
                    todo |= (resident >> self.owner[opened] & 1) << opened
        return done, ready, active

    def pending(self, done: int) -> int:
        """The models that still have something to do."""
        return sum(1 << model for model, owned in enumerate(self.owned) if owned & ~done)

    def later(self, done: int) -> list[int]:
        """By model: the other models that wait for it."""
        return [self._later(model, done) for model in range(len(self.models))]

    def _later(self, model: int, done: int) -> int:
        mask = 0
        for follower, groups in self.followers[model].items():
            if groups & ~done:
                mask |= follower
        return mask


class Room:
    """Which models fit side by side on the nodes of a cluster."""

    def __init__(self, sizes: Sequence[Request], here: Inventory) -> None:
        self.nodes, self.bundles = whole(here.nodes), [size.bundles(here) for size in sizes]
        cpus = [sum(each.cpus * number for each, number in one.items()) for one in self.bundles]
        gpus = [sum(each.gpus * number for each, number in one.items()) for one in self.bundles]
        self.asks = (cpus, gpus)
        self.have = [sum(has) + ROUNDING for has in ([n.cpus for n in here.nodes], [n.gpus for n in here.nodes])]
        self.share = [max(c / self.have[0], g / self.have[1]) for c, g in zip(*self.asks, strict=True)]
        self.fits, self.most = cache(self._fits), cache(self._most)

    def _fits(self, models: int) -> bool:
        """Whether these models fit together. One alone always does: what never fits is refused elsewhere."""
        if models & (models - 1) == 0:
            return True
        return fit(sum((self.bundles[model] for model in bits(models)), Counter[Bundle]()), self.nodes)

    def _most(self, models: int, beside: int | None = None) -> int:
        """No more than so many of these models fit together, or together with one more, `beside` them."""
        together = models | (0 if beside is None else 1 << beside)
        if self.fits(together):
            return models.bit_count()
        counts = [self._smallest(together) - (beside is not None)]
        for asks, have in zip(self.asks, self.have, strict=True):
            left = have if beside is None else have - asks[beside]
            counts.append(_most(sorted(asks[model] for model in bits(models)), left))
        return max(min(counts), int(beside is None))

    def _smallest(self, models: int) -> int:
        """How many would fit if each of these models asked for no more than the smallest in each respect."""
        found = [self.bundles[model] for model in bits(models)]
        cpus, gpus = (min(each[:2][place] for one in found for each in one) for place in (0, 1))
        count = min(one.total() for one in found)
        return room_for(Bundle(cpus, gpus), count * len(found), self.nodes) // count


def _most(asks: Iterable[float], have: float) -> int:
    """How many of the smallest fit."""
    return sum(total <= have for total in accumulate(asks))
