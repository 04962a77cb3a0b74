"""Engines in this process, in place of pools on Ray, for models that need neither GPUs nor processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from actors.compute_threads import in_new_thread
from actors.engine import (
    Classification,
    ClassifyRequest,
    Engine,
    EngineSpec,
    GenerateRequest,
    Generation,
    LogprobRequest,
    TokenLogprobs,
)
from actors.engines.registry import ENGINES, create, engine_info
from cluster.resources.inventory import machine
from pipelines.errors import details_file
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.study.inputs.endpoints import server_needs
from pipelines.study.inputs.models import engine_spec
from pipelines.study.plugins.active import origin
from pipelines.study.spec.study import Study

MEMORY_FRACTION = 0.4  # of this machine's memory, for the weights of all models of a preview
A = TypeVar("A")
Spent = Callable[[str, int, int], None]
"""Receives a model's name and the tokens that it has read and written."""


@dataclass
class LocalPool:
    """An engine in this process, which is loaded for the first request. It serves as its own client."""

    name: str
    spec: EngineSpec
    window: int
    spent: Spent
    loading: asyncio.Lock  # of all pools: libraries do not load two models at once
    _engine: Engine | None = None

    def client(self) -> LocalPool:
        """Return the client."""
        return self

    def queue(self, name: str) -> LocalPool:
        """Return the client: a preview has too few requests to queue."""
        return self

    async def generate(self, request: GenerateRequest) -> Generation:
        """Return the engine's reply."""
        found = await self._ask(lambda engine: engine.generate(request))
        self.spent(self.name, found.tokens_in, found.tokens_out)
        return found

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Return the engine's log-probabilities."""
        found = await self._ask(lambda engine: engine.logprobs(request))
        self.spent(self.name, len(found.logprobs) + len(found.alone), 0)
        return found

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Return the engine's classification."""
        found = await self._ask(lambda engine: engine.classify(request))
        self.spent(self.name, found.tokens_in, 0)
        return found

    def close(self) -> None:
        """Unload the engine."""
        if self._engine:
            self._engine.close()

    async def _ask(self, request: Callable[[Engine], Awaitable[A]]) -> A:
        if self._engine is None:
            async with self.loading:
                self._engine = self._engine or await in_new_thread(self._load)
        return await request(self._engine)

    def _load(self) -> Engine:
        """Return the loaded engine. What libraries print meanwhile goes to the file of details."""
        with details_file().open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
            return create(self.spec)


def fits_here(study: Study, folder: Path, names: Collection[str]) -> bool:
    """Return whether these models can be loaded into this process together."""
    weights = 0
    for name in names:
        model = study.models[name]
        info = engine_info(model.engine, model.gpus)
        if model.gpus or info.memory_model == "tensor_parallel" or origin("engine", model.engine):
            return False
        if info.has_weights:
            weights += parameters(model, folder) * BYTES_PER_PARAMETER
    return weights < MEMORY_FRACTION * machine().memory_bytes


@contextmanager
def local_pools(study: Study, folder: Path, names: Collection[str], spent: Spent) -> Generator[Mapping[str, LocalPool]]:
    """Yield engines in this process, by the names of their models."""
    pools: dict[str, LocalPool] = {}
    loading = asyncio.Lock()
    for name in names:
        model = study.models[name]
        spec = replace(engine_spec(model, folder), needs=server_needs(study, name))
        window = model.in_flight or ENGINES[spec.engine].max_ongoing_requests(spec)
        pools[name] = LocalPool(name, spec, window, spent, loading)
    try:
        yield pools
    finally:
        for pool in pools.values():
            pool.close()
