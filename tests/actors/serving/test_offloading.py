"""Models are offloaded to the memory of their own node, whatever other nodes have. Pools and reservations are fakes."""

from __future__ import annotations

from typing import Any

import pytest

from actors.engine import EngineSpec
from actors.serving import residency
from actors.serving.residency import ModelResidency, ResidentModel
from actors.serving.spec import PoolSpec, ReplicaResources

WEIGHTS = 10  # bytes of one replica


class FakePool:
    """A pool whose engine can sleep, and that records what happens to it."""

    pools: dict[str, FakePool]

    def __init__(self, pool_spec: PoolSpec, shared: bool, reservations: Any) -> None:
        self.events: list[str] = []
        self.features = {"sleep"}
        FakePool.pools[pool_spec.name] = self

    def stats(self, timeout: float = 0) -> FakePool:
        return self

    def sleep(self) -> None:
        self.events.append("sleep")

    def close(self) -> None:
        self.events.append("close")

    def scale_up(self) -> None: ...

    def wait_until_ready(self, timeout: float, waited: float) -> None: ...


class FakeReservation:
    """A reservation on the node that a test names."""

    spans_nodes = False
    released = False

    def __init__(self, resources: ReplicaResources, node: str) -> None:
        self.resources, self.node = resources, node

    def nodes(self) -> list[str]:
        return [self.node]

    def release(self) -> None: ...


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The nodes of each pool's replicas, to be filled by the test."""
    FakePool.pools = {}
    nodes: dict[str, list[str]] = {}

    def reserve(resources: ReplicaResources, name: str) -> FakeReservation:
        return FakeReservation(resources, nodes[name.partition("/")[0]].pop())

    monkeypatch.setattr(residency, "Pool", FakePool)
    monkeypatch.setattr(residency, "reserve", reserve)
    monkeypatch.setattr(residency, "unplaced", lambda _: [])
    monkeypatch.setattr(residency, "fits_alongside", lambda *_: True)
    return nodes


def test_each_node_has_a_limit_of_its_own(places: dict[str, list[str]]) -> None:
    placed = {"a": ["large"], "b": ["large"], "c": ["small"], "d": ["large", "small"], "next": ["other"]}
    places |= {name: [*nodes] for name, nodes in placed.items()}
    models = {
        name: ResidentModel(
            PoolSpec(EngineSpec("scripted", name), name, ReplicaResources(cpus), min_replicas=len(placed[name])),
            weight_bytes=WEIGHTS,
        )
        for cpus, name in enumerate(placed, 1)
    }
    stage = ModelResidency(models, {"large": 2 * WEIGHTS, "small": WEIGHTS - 1, "other": 0}.__getitem__)
    stage.activate("abcd", [["next"], "abcd"], 1)
    stage.activate(["next"], ["abcd"], 1)
    events = {name: pool.events for name, pool in FakePool.pools.items()}
    assert events == {"a": ["sleep"], "b": ["sleep"], "c": ["close"], "d": ["close"], "next": []}
