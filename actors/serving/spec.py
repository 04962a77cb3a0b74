"""The data types that the parts of a pool exchange: specification, resources, queued requests, events, statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from actors.engine import EngineLost, EngineSpec, Feature, LoadError, Request
from cluster.resources.inventory import max_inventory
from cluster.resources.packing import bundles, max_gpus_per_node

LOAD_SECONDS = 600.0  # for a model of no size
SLOW_READ = 100e6  # bytes of weights per second, from a hub, a store or a network file system


@dataclass(frozen=True, slots=True)
class ReplicaResources:
    """CPUs and GPUs of one replica.

    A replica with more GPUs than any node has is spread over several nodes. An empty `accelerator_type` allows any GPU.
    """

    cpus: float = 1
    gpus: float = 0
    accelerator_type: str = ""

    def bundles(self) -> list[dict[str, float]]:
        """Return the bundles of a placement group: a single bundle if one node is enough, else one bundle per GPU."""
        max_node_gpus = max_gpus_per_node(
            max_inventory().nodes, self.accelerator_type
        )  # including nodes that the autoscaler may still add
        return [bundle.resources() for bundle in bundles(self.cpus, self.gpus, max_node_gpus, self.accelerator_type)]


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """An event to report to users. `number` increases with each event of the pool."""

    number: int
    text: str


class PoolClosed(Exception):
    """A call of a pool that has been closed, in a process that serves other pools, too."""


@dataclass(frozen=True, slots=True)
class ClientId:
    """Identifies a client of a router.

    `actor_id` is the client's actor, `incarnation` the process that currently runs this actor (Ray may restart it), and
    `connection_id` one connection of that process.
    """

    actor_id: str
    incarnation: str
    connection_id: str = ""


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """A request that has no answer yet. `number` is the client's own number for it."""

    client_id: ClientId
    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A snapshot of a pool: its replicas' processes, open requests, totals since its start, and its last events.

    `poisoned` holds the ids of quarantined requests. `retried` counts the requests that were in flight when their
    replica crashed.
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
class Readiness:
    """The numbers of replicas that are ready, missing and, of those, loading; and the model's permanent failure."""

    ready: int
    missing: int
    loading: int
    failure: LoadError | EngineLost | None


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """The configuration of a pool.

    `min_replicas` and `max_replicas` bound the number of replicas, and `max_ongoing_requests` the requests in flight at
    one replica. `host` is the name of the process that serves the pool beside others (see `RemoteModels`), empty for
    processes of its own. All timeouts are in seconds: `stall_timeout` is the longest time that an engine may make no
    progress and use no CPU with requests in flight, `heartbeat_timeout` the longest time that its process may answer
    no heartbeat and use no CPU, and `load_timeout` the longest time that it may wait, in all, while it loads a model.
    """

    spec: EngineSpec
    name: str
    resources: ReplicaResources = field(default_factory=ReplicaResources)
    min_replicas: int = 1
    max_replicas: int = 1
    max_ongoing_requests: int = 64
    stall_timeout: float = 120.0
    load_timeout: float = LOAD_SECONDS
    heartbeat_timeout: float = 30.0
    host: str = ""


def load_timeout(weight_bytes: int, gpus: float) -> float:
    """Return how many seconds a replica's process may wait, in all, while it loads a model of this size.

    It waits for downloads, for workers on other nodes, and for other replicas that share its GPU and load first.
    """
    replicas_per_gpu = math.ceil(1 / gpus) if 0 < gpus < 1 else 1
    return replicas_per_gpu * (LOAD_SECONDS + weight_bytes / SLOW_READ)


@dataclass(slots=True)
class ReplicaStats:
    """Statistics of one replica over all of its processes.

    `busy_seconds` is the time with at least one request in flight. `retries` counts the HTTP retries of an engine that
    calls an endpoint. `replies` counts the generated replies that may be longer than a few words, and `cut` those of
    them that were cut off at their limit of tokens.
    """

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    busy_seconds: float = 0.0
    loads: int = 0
    crashes: int = 0
    pid: int = 0
    retries: int = 0
    replies: int = 0
    cut: int = 0
