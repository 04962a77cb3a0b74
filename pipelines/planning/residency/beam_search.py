"""Beam search for the phases: which model to load next, and which to evict for it.

Each step of the search adds one load. After each load, all steps that can run have run; models whose steps cannot run
yet are not loaded. A phase continues as long as the only models evicted were not active in it, because they could have
been evicted before it began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from itertools import chain, combinations
from typing import NamedTuple

from pipelines.planning.residency.step_groups import MemoryBudget, StepGroups, bit_indices

BEAM_WIDTHS = (4, 32, 256, 2048)
MAX_STATES = 2500
MAX_MODELS_EXACT = 6
MAX_READY_CANDIDATES = 4
MAX_AWAITED_CANDIDATES = 2


def search_phases(groups: StepGroups, budget: MemoryBudget) -> tuple[int, ...]:
    """Return the resident models of each phase, as masks.

    The beam is widened until the result equals the lower bound, no state was pruned, or the state limit is exceeded.
    """
    bound, states = min_remaining_loads(groups, budget, 0, 0), 0
    found: list[tuple[int, tuple[int, ...]]] = []
    for width in BEAM_WIDTHS:
        beam = Beam(groups, budget, width)
        found.append(beam.best())
        states += beam.states
        if not beam.truncated or found[-1][0] == bound or states > MAX_STATES:
            break
    return min(found, key=lambda one: (one[0], len(one[1])))[1]


class State(NamedTuple):
    """The state after some loads. `done` and `ready` (to run) are masks of groups.

    `resident` and `active` (in the current phase) are masks of models. `before` has the resident models of the earlier
    phases.
    """

    done: int
    ready: int
    resident: int
    active: int
    before: tuple[int, ...]


def min_remaining_loads(groups: StepGroups, budget: MemoryBudget, done: int, resident: int) -> int:
    """Return a lower bound for the number of remaining loads.

    Every model with pending steps that is not resident is loaded at least once; see `_min_reloads` for further loads.
    """
    pending = groups.pending_models(done)
    away, resident = pending & ~resident, pending & resident
    if not away or budget.fits(pending):
        return away.bit_count()
    waiting = groups.waiting_models(done)
    reloads = _min_reloads(away, resident, waiting, budget)
    if displaced := max(_min_evictions(model, waiting[model] & resident, budget) for model in bit_indices(away)):
        reloads = max(reloads, displaced + _min_reloads(away, 0, waiting, budget))
    return away.bit_count() + reloads


def _min_reloads(away: int, resident: int, waiting: list[int], budget: MemoryBudget) -> int:
    """Return a lower bound for the number of models that must be loaded once more.

    A model that is loaded only once, or a resident one that is never evicted, is in memory for one interval of time.
    Two such models overlap if each waits for the other, or if a resident one waits for the other. Intervals that
    overlap pairwise have a common moment (Helly), at which all of the models must fit.
    """
    reloads = 0
    while away:
        clique, common = _clique(away, waiting)
        side_by_side = clique | (resident & common)
        reloads += side_by_side.bit_count() - budget.max_fitting(side_by_side)
        away, resident = away & ~clique, resident & ~common
    return reloads


def _min_evictions(model: int, waiting: int, budget: MemoryBudget) -> int:
    """Return a lower bound for the number of resident models waiting for this one that must be evicted for it."""
    return waiting.bit_count() - budget.max_fitting(waiting, beside=model) if waiting else 0


def _clique(away: int, waiting: list[int]) -> tuple[int, int]:
    """Return models that all wait for each other, starting with the first, and the models that wait for all of them."""
    clique, common, left = 0, -1, away
    while left:
        first = left & -left
        left ^= first
        if not clique & ~(waits := waiting[first.bit_length() - 1]):
            clique |= first
            common &= waits
            left &= common
    return clique, common


class Beam:
    """One search of a given width. `truncated`: whether states were pruned. `states`: the number of states visited."""

    def __init__(self, groups: StepGroups, room: MemoryBudget, width: int) -> None:
        self.groups, self.budget, self.width = groups, room, width
        self.exact = len(groups.models) <= MAX_MODELS_EXACT
        self.truncated = not self.exact
        self.states = 0

    def best(self) -> tuple[int, tuple[int, ...]]:
        """Return the fewest loads found and the resident models of each phase. Ties are broken by fewer phases."""
        frontier, loads = [State(0, self.groups.initial_groups(), 0, 0, ())], 0
        while all(state.ready for state in frontier):
            frontier, loads = self._next_frontier(frontier), loads + 1
        last = min((state for state in frontier if not state.ready), key=lambda state: len(state.before))
        return loads, (*last.before, last.resident)

    def _next_frontier(self, frontier: list[State]) -> list[State]:
        """Return the best states with one more load."""
        found: dict[tuple[int, int, int], State] = {}
        for state in frontier:
            for child in self._children(state):
                self.states += 1
                same = found.setdefault((child.done, child.resident, child.active), child)
                if len(child.before) < len(same.before):
                    found[child.done, child.resident, child.active] = child
        if len(found) <= self.width:
            return list(found.values())
        self.truncated = True
        return nsmallest(self.width, found.values(), key=self._rank)

    def _rank(self, state: State) -> tuple[int, int, int]:
        """Rank by fewer remaining loads, then fewer phases, then fewer resident models."""
        loads = min_remaining_loads(self.groups, self.budget, state.done, state.resident)
        return loads, len(state.before), state.resident.bit_count()

    def _children(self, state: State) -> Iterator[State]:
        """Yield the states after the next load, for each candidate model and each set of models to evict for it."""
        pending, waiting = self.groups.pending_models(state.done), self.groups.waiting_models(state.done)
        counted = Counter(chain.from_iterable(map(bit_indices, waiting)))
        waits = [counted[model] for model in range(len(waiting))]
        leaving = sorted(
            bit_indices(state.resident & pending),
            key=lambda model: (-waits[model], -self.budget.cluster_share[model], state.active >> model & 1),
        )
        for model in self._load_candidates(state.ready, waits, waiting):
            for evicted in self._evictions(leaving):
                child = self._load(state, model, evicted, pending)
                if child:
                    yield child
                    if not self.exact and len(child.before) == len(state.before):
                        break

    def _load_candidates(self, ready: int, waits: list[int], waiting: list[int]) -> Iterable[int]:
        """Return models with ready steps: those that wait for the fewest others, and those most waited for.

        Ties are broken by size, large models first, because more of the small ones can stay resident.
        """
        models, share = {self.groups.model_of_group[group] for group in bit_indices(ready)}, self.budget.cluster_share
        by_readiness = sorted(models, key=lambda model: (waits[model], -share[model], model))
        by_demand = sorted(models, key=lambda model: (-waiting[model].bit_count(), -share[model], model))
        return (
            by_readiness
            if self.exact
            else dict.fromkeys((*by_readiness[:MAX_READY_CANDIDATES], *by_demand[:MAX_AWAITED_CANDIDATES]))
        )

    def _evictions(self, leaving: list[int]) -> Iterator[int]:
        """Yield masks of models to evict, fewer first: those needed latest (Belady); all subsets if exact."""
        for count in range(len(leaving) + 1):
            chosen = combinations(leaving, count) if self.exact else [leaving[:count]]
            yield from (sum(1 << model for model in models) for models in chosen)

    def _load(self, state: State, model: int, evicted: int, pending: int) -> State | None:
        """Return the state after one more load, in this phase or a new one; None if the model does not fit.

        A model without pending steps is evicted at the end of the phase in which it was last active.
        """
        before, was_active = state.before, state.active
        resident = state.resident & (pending | was_active) & ~evicted | 1 << model
        if evicted & was_active or not self.budget.fits(resident):
            before, was_active = (*before, state.resident), 0
            resident &= pending
            if not self.budget.fits(resident):
                return None
        done, ready, active = self.groups.run_ready(state.done, state.ready, resident)
        return State(done, ready, resident, was_active | active, before)
