"""Which models are in memory: pools come in, leave, sleep and wake as the phases of a run need them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ray.exceptions import RayError

from actors.engine import EngineLost
from actors.serving.pool import Pool
from actors.serving.reservation import Berth, fit_beside, reserve, waiting
from actors.serving.spec import PoolStats, Share, Terms

STATS_SECONDS = 5.0
LOOK_SECONDS = 0.2  # between two looks whether all berths are placed


@dataclass(frozen=True, slots=True)
class Part:
    """A model that takes part: its terms, whether all drivers share it, and the bytes of its weights."""

    terms: Terms
    shared: bool = False
    weights: int = 0


@dataclass
class _Present:
    """A pool that is there, in berths of the stage (a shared pool has its own)."""

    part: Part
    pool: Pool
    berths: list[Berth]
    asleep: bool = False


class Stage:
    """The pools of one driver, on the nodes of the cluster, and within `host_bytes` of weights that sleep.

    A model that leaves and is needed later goes to sleep where its engine can; another of the same share can then work
    in its berths. The placement groups are the stage's, so nothing is handed on that the cluster still counts as used;
    before a replica loads, it waits until its devices are seen to be free. Ray decides where a berth lies; one that is
    in another's way there is given up.
    """

    def __init__(self, parts: Mapping[str, Part], host_bytes: int) -> None:
        self._parts, self._host_bytes = parts, host_bytes
        self._present: dict[str, _Present] = {}
        self._berths: list[Berth] = []
        self._made = 0
        self.left: list[tuple[str, PoolStats]] = []  # the last figures of pools that are no more

    def enter(self, models: Collection[str], later: Sequence[Collection[str]], timeout: float) -> dict[str, Pool]:
        """Pools of these models, ready; `later` says which models the next phases need.

        LoadError if one can not be loaded, or has no room within `timeout` seconds.
        """
        for name in [name for name, each in self._present.items() if not each.asleep and name not in models]:
            self._leave(name, later)
        arriving = [name for name in models if name not in self._present or self._present[name].asleep]
        for name in sorted(self._largest_first(arriving), key=lambda name: name not in self._present):
            self._arrive(name, set(models))
        self._tidy()
        waited = self._place(models, timeout)
        pools = {name: self._present[name].pool for name in models}
        for pool in pools.values():
            pool.expect()
        for pool in pools.values():
            pool.ready(timeout, waited)
        return pools

    def close(self) -> None:
        """End all pools and give everything back."""
        for name in list(self._present):
            self._close(name)
        self._tidy()

    def _leave(self, name: str, later: Sequence[Collection[str]]) -> None:
        here = self._present[name]
        if any(name in phase for phase in later) and self._may_sleep(here):
            here.pool.sleep()
            here.asleep = True
        else:
            self._close(name)

    def _may_sleep(self, here: _Present) -> bool:
        asleep = sum(each.part.weights for each in self._present.values() if each.asleep)
        fits = asleep + here.part.weights <= self._host_bytes
        spread = any(berth.several_nodes for berth in here.berths)
        return fits and not spread and not here.part.shared and "sleep" in here.pool.stats().features

    def _arrive(self, name: str, models: set[str]) -> None:
        here = self._present.get(name)
        if here and all(berth in self._free() for berth in here.berths):
            here.pool.wake()
            here.asleep = False
            return
        if here:  # others work in its berths
            self._close(name)
        part = self._parts[name]
        berths: list[Berth] = []
        while not part.shared and len(berths) < part.terms.least:
            berths.append(self._berth(part.terms, models, berths))
        self._present[name] = _Present(part, Pool(part.terms, part.shared, berths), berths)

    def _berth(self, terms: Terms, models: set[str], taken: list[Berth]) -> Berth:
        """A free berth of this share in which nobody sleeps that comes back in this phase, else a new one."""
        free = [berth for berth in self._free() if berth not in taken]
        like = [berth for berth in free if berth.share == terms.share and not self._sleepers(berth) & models]
        if like:
            return min(like, key=lambda berth: len(self._sleepers(berth)))
        self._make_room(terms.share, free)
        self._made += 1
        made = reserve(terms.share, f"{terms.name}/berth-{self._made}")
        self._berths.append(made)
        return made

    def _make_room(self, share: Share, free: list[Berth]) -> None:
        """Release free berths, those with the fewest sleepers first, until there is room for one more share."""
        for berth in sorted(free, key=lambda berth: len(self._sleepers(berth))):
            if fit_beside([share], self._berths):
                return
            self._release(berth)

    def _place(self, models: Collection[str], timeout: float) -> float:
        """Wait until all berths are placed or `timeout` seconds have passed, and return how many did.

        Where berths have no room beside those that lie there, free ones are released; if that does not help, all models
        of the phase come in once more, the largest first.
        """
        started, moved = time.monotonic(), False
        while waiting(self._berths) and (passed := time.monotonic() - started) < timeout:
            free = self._free()
            if fit_beside([], self._berths):
                time.sleep(LOOK_SECONDS)
            elif free:
                self._release(min(free, key=lambda berth: len(self._sleepers(berth))))
            elif not moved and fit_beside((berth.share for berth in self._berths), []):
                moved = True
                self._move(models, timeout - passed)
            else:
                time.sleep(LOOK_SECONDS)
        return time.monotonic() - started

    def _move(self, models: Collection[str], timeout: float) -> None:
        """Have all models of the phase come in once more, each as soon as those before it are placed."""
        deadline, own = time.monotonic() + timeout, [name for name in models if self._present[name].berths]
        for name in own:
            self._close(name)
        for berth in [*self._berths]:
            self._release(berth)
        for name in self._largest_first(own):
            self._arrive(name, set(models))
            while waiting(self._berths) and time.monotonic() < deadline and fit_beside([], self._berths):
                time.sleep(LOOK_SECONDS)

    def _largest_first(self, models: Collection[str]) -> list[str]:
        shares = {name: self._parts[name].terms.share for name in models}
        return sorted(models, key=lambda name: (-shares[name].gpus, -shares[name].cpus))

    def _tidy(self) -> None:
        """Release berths that nobody works or sleeps in."""
        for berth in self._free():
            if not self._sleepers(berth):
                self._release(berth)

    def _release(self, berth: Berth) -> None:
        """Give a berth back to the cluster, and up what sleeps in it."""
        for name in self._sleepers(berth):
            self._close(name)
        self._berths.remove(berth)
        berth.release()

    def _free(self) -> list[Berth]:
        """Berths in which no model is at work."""
        taken = [berth for each in self._present.values() if not each.asleep for berth in each.berths]
        return [berth for berth in self._berths if berth not in taken]

    def _sleepers(self, berth: Berth) -> set[str]:
        return {name for name, each in self._present.items() if each.asleep and berth in each.berths}

    def _close(self, name: str) -> None:
        pool = self._present.pop(name).pool
        with contextlib.suppress(RayError, EngineLost):
            self.left.append((name, pool.stats(STATS_SECONDS)))
        pool.close()
