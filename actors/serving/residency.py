"""Decides which models are resident: loads, unloads, offloads and resumes pools as the phases of a run require."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ray.exceptions import RayError

from actors.engine import EngineLost
from actors.serving.pool import Pool
from actors.serving.reservation import Reservation, fits_alongside, reserve, unplaced
from actors.serving.spec import PoolSpec, PoolStats, ReplicaResources

STATS_TIMEOUT = 5.0
PLACEMENT_POLL_SECONDS = 0.2  # between two checks whether all reservations are placed


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """A model of the run: its pool's configuration, whether drivers share the pool, and the bytes of its weights.

    `weight_bytes` are those of one replica.
    """

    pool_spec: PoolSpec
    shared: bool = False
    weight_bytes: int = 0


@dataclass
class _ActivePool:
    """An open pool and its reservations: none of a shared pool, which makes its own, and of one with a host."""

    model: ResidentModel
    pool: Pool
    reservations: list[Reservation]
    asleep: bool = False

    def bytes_by_node(self) -> Counter[str]:
        """Return the bytes of weights on each node, by Ray's id."""
        nodes = [node for reservation in self.reservations for node in reservation.nodes()]
        return Counter({node: count * self.model.weight_bytes for node, count in Counter(nodes).items()})


class ModelResidency:
    """The pools of one driver. Weights of idle models are offloaded to host memory.

    A model that a later phase needs is offloaded if its engine can sleep. Another model with the same resources can
    then use its reservations. The reservations (placement groups) belong to this class, so Ray keeps them allocated
    while models change. Before a replica loads, it waits until its devices are free. Ray chooses the nodes of a
    reservation. A reservation that blocks the placement of another one is released.
    """

    def __init__(self, models: Mapping[str, ResidentModel], host_bytes: Callable[[str], int]) -> None:
        """Create a residency without pools. `host_bytes` returns how many bytes may be offloaded on a node."""
        self._models, self._host_bytes = models, host_bytes
        self._active_pools: dict[str, _ActivePool] = {}
        self._reservations: list[Reservation] = []
        self._reservation_count = 0
        self.final_stats: list[tuple[str, PoolStats]] = []  # the last statistics of closed pools

    def activate(
        self, models: Collection[str], upcoming_phases: Sequence[Collection[str]], timeout: float
    ) -> dict[str, Pool]:
        """Load these models, and offload or unload all others. Return the ready pools by model.

        Args:
            models: The models of this phase.
            upcoming_phases: The models of each later phase.
            timeout: Seconds until all pools must be placed and ready.

        Raises:
            LoadError: A model cannot be loaded, or is not ready in time.
            EngineLost: A pool's processes crash repeatedly.
        """
        for name in [name for name, each in self._active_pools.items() if not each.asleep and name not in models]:
            self._deactivate(name, upcoming_phases)
        arriving = [name for name in models if name not in self._active_pools or self._active_pools[name].asleep]
        for name in sorted(self._largest_first(arriving), key=lambda name: name not in self._active_pools):
            self._bring_up(name, set(models))
        self._release_unused()
        waited = self._wait_until_placed(models, timeout)
        pools = {name: self._active_pools[name].pool for name in models}
        for pool in pools.values():
            pool.scale_up()
        for pool in pools.values():
            pool.wait_until_ready(timeout, waited)
        return pools

    def active_stats(self) -> list[tuple[str, PoolStats]]:
        """Return the statistics of all pools that are not offloaded, by model. Any thread may call it.

        Raises:
            EngineLost: A pool was closed meanwhile.
        """
        active = [(name, each.pool) for name, each in [*self._active_pools.items()] if not each.asleep]
        return [(name, pool.stats(STATS_TIMEOUT)) for name, pool in active]

    def close(self) -> None:
        """Close all pools and release all reservations."""
        for name in list(self._active_pools):
            self._close_pool(name)
        self._release_unused()

    def _deactivate(self, name: str, upcoming_phases: Sequence[Collection[str]]) -> None:
        pool_state = self._active_pools[name]
        if any(name in phase for phase in upcoming_phases) and self._can_sleep(pool_state):
            pool_state.pool.sleep()
            pool_state.asleep = True
        else:
            self._close_pool(name)

    def _can_sleep(self, pool_state: _ActivePool) -> bool:
        spans_nodes = any(reservation.spans_nodes for reservation in pool_state.reservations)
        if spans_nodes or pool_state.model.shared or "sleep" not in pool_state.pool.stats().features:
            return False
        needed = pool_state.bytes_by_node()
        for each in self._active_pools.values():
            needed.update(each.bytes_by_node() if each.asleep else ())
        return all(needed[node] <= self._host_bytes(node) for node in pool_state.bytes_by_node())

    def _bring_up(self, name: str, models: set[str]) -> None:
        pool_state = self._active_pools.get(name)
        if pool_state and all(reservation in self._free_reservations() for reservation in pool_state.reservations):
            pool_state.pool.wake()
            pool_state.asleep = False
            return
        if pool_state:  # other models use its reservations
            self._close_pool(name)
        model = self._models[name]
        reservations: list[Reservation] = []
        while not (model.shared or model.pool_spec.host) and len(reservations) < model.pool_spec.min_replicas:
            reservations.append(self._free_or_new_reservation(model.pool_spec, models, reservations))
        self._active_pools[name] = _ActivePool(model, Pool(model.pool_spec, model.shared, reservations), reservations)

    def _free_or_new_reservation(self, pool_spec: PoolSpec, models: set[str], taken: list[Reservation]) -> Reservation:
        """Return a free reservation with matching resources and no offloaded model of this phase, else a new one."""
        free = [reservation for reservation in self._free_reservations() if reservation not in taken]
        matching = [
            reservation
            for reservation in free
            if reservation.resources == pool_spec.resources and not self._sleeping_in(reservation) & models
        ]
        if matching:
            return min(matching, key=lambda reservation: len(self._sleeping_in(reservation)))
        self._evict_until_fits(pool_spec.resources, free)
        self._reservation_count += 1
        new_reservation = reserve(pool_spec.resources, f"{pool_spec.name}/reservation-{self._reservation_count}")
        self._reservations.append(new_reservation)
        return new_reservation

    def _evict_until_fits(self, resources: ReplicaResources, free: list[Reservation]) -> None:
        """Release free reservations, those with the fewest offloaded models first, until another replica fits."""
        for reservation in sorted(free, key=lambda reservation: len(self._sleeping_in(reservation))):
            if fits_alongside([resources], self._reservations):
                return
            self._release(reservation)

    def _wait_until_placed(self, models: Collection[str], timeout: float) -> float:
        """Wait up to `timeout` seconds until all reservations are placed, and return the seconds waited.

        If reservations do not fit beside the placed ones, free ones are released. If that is not enough, all models of
        the phase are placed again, the largest first.
        """
        started, moved = time.monotonic(), False
        while unplaced(self._reservations) and (passed := time.monotonic() - started) < timeout:
            free = self._free_reservations()
            if fits_alongside([], self._reservations):
                time.sleep(PLACEMENT_POLL_SECONDS)
            elif free:
                self._release(min(free, key=lambda reservation: len(self._sleeping_in(reservation))))
            elif not moved and fits_alongside((reservation.resources for reservation in self._reservations), []):
                moved = True
                self._reschedule_all(models, timeout - passed)
            else:
                time.sleep(PLACEMENT_POLL_SECONDS)
        return time.monotonic() - started

    def _reschedule_all(self, models: Collection[str], timeout: float) -> None:
        """Close and place all models of the phase again, each after the previous ones are placed."""
        deadline, reserved = (
            time.monotonic() + timeout,
            [name for name in models if self._active_pools[name].reservations],
        )
        for name in reserved:
            self._close_pool(name)
        for reservation in [*self._reservations]:
            self._release(reservation)
        for name in self._largest_first(reserved):
            self._bring_up(name, set(models))
            while (
                unplaced(self._reservations) and time.monotonic() < deadline and fits_alongside([], self._reservations)
            ):
                time.sleep(PLACEMENT_POLL_SECONDS)

    def _largest_first(self, models: Collection[str]) -> list[str]:
        resources = {name: self._models[name].pool_spec.resources for name in models}
        return sorted(models, key=lambda name: (-resources[name].gpus, -resources[name].cpus))

    def _release_unused(self) -> None:
        """Release reservations that no model uses, neither active nor offloaded."""
        for reservation in self._free_reservations():
            if not self._sleeping_in(reservation):
                self._release(reservation)

    def _release(self, reservation: Reservation) -> None:
        """Release a reservation, and unload the models that are offloaded in it."""
        for name in self._sleeping_in(reservation):
            self._close_pool(name)
        self._reservations.remove(reservation)
        reservation.release()

    def _free_reservations(self) -> list[Reservation]:
        """Return the reservations without an active model."""
        taken = [
            reservation for each in self._active_pools.values() if not each.asleep for reservation in each.reservations
        ]
        return [reservation for reservation in self._reservations if reservation not in taken]

    def _sleeping_in(self, reservation: Reservation) -> set[str]:
        return {name for name, each in self._active_pools.items() if each.asleep and reservation in each.reservations}

    def _close_pool(self, name: str) -> None:
        pool = self._active_pools.pop(name).pool
        with contextlib.suppress(RayError, EngineLost):
            self.final_stats.append((name, pool.stats(STATS_TIMEOUT)))
        pool.close()
