"""An encoder that runs in this process, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from actors.inference.embedder import Embedder
from pipelines.operators.similarity.embedding import OnProgress
from pipelines.operators.similarity.nearest_neighbours import map_in_process
from pipelines.operators.similarity.vectors import PANEL_SIZE, Vectors


class LocalEncoder:
    """Embeds in this process. A panel is an array of vectors [texts, dimensions]."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def panels(self, texts: Iterable[str], on_progress: OnProgress = lambda done: None) -> list[Any]:
        """See `Encoder`."""
        rest, panels, done = iter(texts), list[Any](), 0
        while part := [*islice(rest, PANEL_SIZE)]:
            panels.append(self.embedder.embed(part))
            on_progress(done := done + len(part))
        return panels

    def map_calls(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """See `Encoder`."""
        return map_in_process(function, calls)

    def fetch(self, panel: Any) -> Vectors:
        """See `Encoder`."""
        return panel
