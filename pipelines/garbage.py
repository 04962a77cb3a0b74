"""Pauses the collection of garbage while many objects are created that stay."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Generator[None]:
    """Pause the collection of cyclic garbage in the block, or in each call of the function that this decorates.

    A collection looks at all objects. While a graph of 100,000 steps grows, collections take as long as building it.
    In threads, the first block that ends lets collections continue, so that none is lost.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
