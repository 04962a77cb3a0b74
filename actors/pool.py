"""All replicas of one model, as the driver sees them, and the client by which any worker reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from actors.engine import (
    EngineLost,
    EngineSpec,
    GenerateRequest,
    Generation,
    LoadError,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
)
from actors.replica import Replica, ReplicaStats

Handle = Any  # of a Replica: Ray's handles do not tell the checker what their methods give
RESTARTS = 3  # of one replica, and retries of one call on it
CALLS_AT_ONCE = 1000
_IDENTIFIERS = ("class_name:", "actor_id:", "namespace:", "name:")
CLOSE_SECONDS = 10.0  # for a model to be freed in good order before its process is killed


class EngineClient:
    """Sends requests to the least loaded replica, a bounded number at once. Picklable; each copy has its own bound."""

    def __init__(self, spec: EngineSpec, replicas: Sequence[Handle], in_flight: int) -> None:
        self._spec, self._replicas, self._bound = spec, tuple(replicas), in_flight
        self._load = [0] * len(self._replicas)
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return EngineClient, (self._spec, self._replicas, self._bound)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        RequestError if it can not be answered, LoadError if the model can not be loaded, EngineLost if replicas die on
        it again and again.
        """
        return await self._call("generate", request)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text; errors as of `generate`."""
        return await self._call("logprobs", request)

    async def _call(self, method: str, request: GenerateRequest | LogprobRequest) -> Any:
        async with self._semaphore():
            chosen = min(range(len(self._replicas)), key=self._load.__getitem__)
            self._load[chosen] += 1
            try:
                answer = await getattr(self._replicas[chosen], method).remote(self._spec, request)
            except RayActorError as error:
                raise EngineLost(self._spec.model, _summary(error)) from error
            except RayTaskError as error:
                raise error.cause from error
            finally:
                self._load[chosen] -= 1
        if isinstance(answer, RequestError | LoadError):
            raise answer
        return answer

    def _semaphore(self) -> asyncio.Semaphore:
        """The bound on requests in flight; a semaphore belongs to one event loop."""
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, asyncio.Semaphore(self._bound * len(self._replicas))
            self._load = [0] * len(self._replicas)
        return self._slots[1]


class Pool:
    """Starts the replicas of one model as named actors `NAME/0`, `NAME/1`... that end with the driver or `close`.

    `cpus` and `gpus` are of one replica, whose threads are the CPUs rounded up. `in_flight` bounds the requests that
    one client has at one replica.
    """

    def __init__(
        self,
        spec: EngineSpec,
        name: str,
        replicas: int = 1,
        cpus: float = 1,
        gpus: float = 0,
        namespace: str | None = None,
        in_flight: int = 64,
    ) -> None:
        self._spec, self._in_flight = spec, in_flight
        self._share = f"{cpus:g} CPUs and {gpus:g} GPUs"
        threads = max(1, math.ceil(cpus))
        self._replicas: list[Handle] = [
            ray.remote(Replica)
            .options(
                name=f"{name}/{i}",
                namespace=namespace,
                num_cpus=cpus,
                num_gpus=gpus,
                max_restarts=RESTARTS,
                max_task_retries=RESTARTS,
                max_concurrency=CALLS_AT_ONCE,
            )
            .remote(threads)
            for i in range(replicas)
        ]

    def ready(self, timeout: float = 600) -> None:
        """Wait until every replica has loaded the model.

        LoadError if it can not be loaded, if its process dies while loading, or after `timeout` seconds, which ends
        the pool.
        """
        try:
            answers = ray.get([replica.load.remote(self._spec) for replica in self._replicas], timeout=timeout)
        except GetTimeoutError as error:
            free = {name: ray.available_resources().get(name, 0) for name in ("CPU", "GPU")}
            self._kill()  # or it would be asked for as long as the driver lives
            detail = f"not ready after {timeout:g} s; each of {len(self._replicas)} replicas asks for {self._share}"
            raise LoadError(self._spec.model, f"{detail}, free now: {free}") from error
        except RayActorError as error:
            raise LoadError(self._spec.model, _summary(error)) from error
        for answer in answers:
            if answer is not None:
                raise answer

    def reload(self, spec: EngineSpec, timeout: float = 600) -> None:
        """Put another model in the same processes, once their requests in flight have ended; errors as of `ready`.

        Clients handed out before go on asking for the former model: take a new one.
        """
        self._spec = spec
        self.ready(timeout)

    def client(self) -> EngineClient:
        """A client for the present model, to be used here or sent to workers."""
        return EngineClient(self._spec, self._replicas, self._in_flight)

    def stats(self) -> list[ReplicaStats]:
        """What each replica has done since its process started."""
        return ray.get([replica.stats.remote() for replica in self._replicas])

    def close(self) -> None:
        """Free the models and end the processes."""
        with contextlib.suppress(GetTimeoutError, RayActorError):
            ray.get([replica.close.remote() for replica in self._replicas], timeout=CLOSE_SECONDS)
        self._kill()

    def _kill(self) -> None:
        for replica in self._replicas:
            ray.kill(replica)


def _summary(error: RayActorError) -> str:
    """What Ray knows of an actor's end, without the traceback and the identifiers."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(_IDENTIFIERS))
