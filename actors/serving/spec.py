"""What the parts of a pool tell one another: sizes, resources, requests in the queue, events and statistics."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.engine import EngineSpec, Feature, Request
from cluster.resources.inventory import possible
from cluster.resources.packing import bundles, largest


@dataclass(frozen=True, slots=True)
class Share:
    """CPUs and GPUs of one replica. More GPUs than any node has are taken from several nodes. `kind` is that of the
    GPUs, any if empty."""

    cpus: float = 1
    gpus: float = 0
    kind: str = ""

    def bundles(self) -> list[dict[str, float]]:
        """What a placement group has to hold: one bundle on one node, or one for each GPU."""
        most = largest(possible().nodes, self.kind)  # also of nodes that may still come
        return [bundle.resources() for bundle in bundles(self.cpus, self.gpus, most, self.kind)]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that users want to know, with its number in the pool's life."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a line (an event loop's) of one `life` of a `home`, an actor that may be started again."""

    home: str
    life: str
    line: str = ""


@dataclass(slots=True, eq=False)
class Ticket:
    """One request on its way: whose it is, and by what number the asker knows it."""

    asker: Asker
    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool now: its replicas' processes, what waits and what is in flight, and what it has done in all.

    `again` are requests that were in flight when their replica died.
    """

    pids: tuple[int, ...]
    replicas: int
    queued: int
    in_flight: int
    work: Work
    features: frozenset[Feature]
    poisoned: tuple[str, ...]
    events: tuple[Event, ...]
    again: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a pool runs, and where. `least` and `most` bound the number of replicas, `in_flight` the requests at one.

    `patience` is how many seconds an engine may show no progress, `silence` how many its process may give no sign of
    life, `load_seconds` how long a load may take.
    """

    spec: EngineSpec
    name: str
    share: Share = field(default_factory=Share)
    least: int = 1
    most: int = 1
    in_flight: int = 64
    patience: float = 120.0
    load_seconds: float = 600.0
    silence: float = 30.0


@dataclass(slots=True)
class Work:
    """What a seat has done, whatever became of its processes. `busy_seconds` is the time with a request in flight.

    `retries` are those of an engine that asks an endpoint.
    """

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    busy_seconds: float = 0.0
    loads: int = 0
    deaths: int = 0
    pid: int = 0
    retries: int = 0
