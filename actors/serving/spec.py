"""What the parts of a pool tell one another: sizes, resources, requests in the queue, events and statistics."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.engine import EngineSpec, Feature, Request
from cluster.resources.inventory import max_inventory
from cluster.resources.packing import bundles, max_gpus_per_node


@dataclass(frozen=True, slots=True)
class ReplicaResources:
    """CPUs and GPUs of one replica. More GPUs than any node has are taken from several nodes. `accelerator_type` is
    that of the GPUs, any if empty."""

    cpus: float = 1
    gpus: float = 0
    accelerator_type: str = ""

    def bundles(self) -> list[dict[str, float]]:
        """What a placement group has to hold: one bundle on one node, or one for each GPU."""
        max_node_gpus = max_gpus_per_node(
            max_inventory().nodes, self.accelerator_type
        )  # also of nodes that may still come
        return [bundle.resources() for bundle in bundles(self.cpus, self.gpus, max_node_gpus, self.accelerator_type)]


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """Something that users want to know, with its number in the pool's life."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class ClientId:
    """Who asks: a line (an event loop's) of one `incarnation` of a `actor_id`, an actor that may be started again."""

    actor_id: str
    incarnation: str
    connection_id: str = ""


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """One request on its way: whose it is, and by what number the asker knows it."""

    client_id: ClientId
    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool now: its replicas' processes, what waits and what is in flight, and what it has done in all.

    `retried` are requests that were in flight when their replica died.
    """

    pids: tuple[int, ...]
    replicas: int
    queued: int
    in_flight: int
    totals: ReplicaStats
    features: frozenset[Feature]
    poisoned: tuple[str, ...]
    events: tuple[PoolEvent, ...]
    retried: int = 0


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a pool runs, and where. `min_replicas` and `max_replicas` bound the number of replicas,
    `max_ongoing_requests` the requests at one.

    `stall_timeout` is how many seconds an engine may show no progress, `heartbeat_timeout` how many its process may
    give no sign of life, `load_timeout` how long a load may take.
    """

    spec: EngineSpec
    name: str
    resources: ReplicaResources = field(default_factory=ReplicaResources)
    min_replicas: int = 1
    max_replicas: int = 1
    max_ongoing_requests: int = 64
    stall_timeout: float = 120.0
    load_timeout: float = 600.0
    heartbeat_timeout: float = 30.0


@dataclass(slots=True)
class ReplicaStats:
    """What a seat has done, whatever became of its processes. `busy_seconds` is the time with a request in flight.

    `retries` are those of an engine that asks an endpoint.
    """

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    busy_seconds: float = 0.0
    loads: int = 0
    crashes: int = 0
    pid: int = 0
    retries: int = 0
