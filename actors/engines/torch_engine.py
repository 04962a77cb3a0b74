"""What the engines on torch share: batches, sleep, and running out of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from actors.engines.unsupported import UnsupportedEngine
from actors.inference.micro_batcher import MicroBatcher

Result = TypeVar("Result")


class TorchEngine(UnsupportedEngine):
    """A loaded model, whose requests are batched by length and run in one worker thread."""

    def __init__(self, model: Any, max_batch: int, max_batch_tokens: int) -> None:
        self._model, self._device = model, model.device
        self._batcher = MicroBatcher(max_batch, max_batch_tokens)
        self._steps = 0

    def progress(self) -> int:
        """Decoding steps and forward passes so far."""
        return self._steps

    async def sleep(self) -> None:
        """Move the weights to host memory; on a CPU they are there already."""
        await asyncio.to_thread(self._move, torch.device("cpu"))

    async def wake(self) -> None:
        """Move the weights back to the device."""
        await asyncio.to_thread(self._move, self._device)

    def close(self) -> None:
        """Free the model's memory; calls that still wait raise RuntimeError."""
        self._batcher.close()
        del self._model
        torch.cuda.empty_cache()

    def _move(self, device: torch.device) -> None:
        self._model.to(device)
        torch.cuda.empty_cache()

    def _count_step(self) -> None:
        self._steps += 1


def oom_as_memory_error(run: Callable[[], Result]) -> Result:
    """The result of `run`; MemoryError where torch has no memory left, once that is free again."""
    try:
        return run()
    except RuntimeError as error:
        detail = str(error).partition("\n")[0]
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator: can't allocate" not in detail:
            raise
    # out of the handler: what is being handled keeps the failed run's tensors alive
    torch.cuda.empty_cache()
    raise MemoryError(detail)
