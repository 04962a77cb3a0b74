"""Pools of scripted engines, and ways to ask and to look at them, for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
import ray
from ray.util import placement_group_table

from actors.engine import EngineSpec, GenerateRequest, Generation, Sampling
from actors.serving.client import EngineClient
from actors.serving.pool import Pool
from actors.serving.replica_handle import NAMESPACE
from actors.serving.spec import PoolSpec, ReplicaResources

SAMPLING = Sampling(temperature=1.0, max_tokens=8)
SMALL = ReplicaResources(0.1)


def scripted(model: str = "teacher", **options: str | int | float | bool) -> EngineSpec:
    return EngineSpec("scripted", model, options=tuple(options.items()))


@contextmanager
def pool_of(spec: EngineSpec, name: str = "pool", shared: bool = False, **changes: Any) -> Iterator[Pool]:
    """A pool that is closed at the end; `changes` are other terms."""
    pool = Pool(PoolSpec(spec, name, **{"resources": SMALL, **changes}), shared)
    try:
        yield pool
    finally:
        pool.close()


def requests(texts: Sequence[str]) -> list[GenerateRequest]:
    return [GenerateRequest(f"r{i}", (("user", text),), SAMPLING, i) for i, text in enumerate(texts)]


async def ask_all(client: EngineClient, texts: Sequence[str]) -> list[Generation | BaseException]:
    return await asyncio.gather(*map(client.generate, requests(texts)), return_exceptions=True)


def ask(client: EngineClient, count: int = 1, text: str = "Why?") -> list[Any]:
    """Answers, or the errors in their place, to `count` different questions asked at once."""
    return asyncio.run(ask_all(client, [f"{text} {i}" for i in range(count)]))


def ids(answers: Sequence[Any]) -> list[str]:
    """The ids of those that were answered."""
    return [answer.id for answer in answers if isinstance(answer, Generation)]


def free_cpus() -> float:
    return round(ray.available_resources().get("CPU", 0.0), 3)


def groups(name: str) -> dict[str, str]:
    """States of the placement groups that belong to a pool, by their names, without those removed."""
    present = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
    return {group["name"]: group["state"] for group in present if group["name"].startswith(f"{name}/")}


def in_router(name: str, function: Callable[[Any], Any]) -> Any:
    """What a function returns in the process of a pool's router, to which it is given."""
    router: Any = ray.get_actor(name, namespace=NAMESPACE)
    return ray.get(router.__ray_call__.remote(function))


def router_process(name: str) -> psutil.Process:
    """The process of a pool's router."""
    return psutil.Process(in_router(name, lambda _: os.getpid()))
