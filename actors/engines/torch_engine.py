"""Common base of the torch engines: batching, offloading and errors of the device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from actors.devices import exit_if_cuda_failed
from actors.engines.unsupported import UnsupportedEngine
from actors.inference.micro_batcher import MicroBatcher

Result = TypeVar("Result")


class TorchEngine(UnsupportedEngine):
    """A loaded model. Its requests are batched by length and run in one worker thread."""

    def __init__(self, model: Any, max_batch: int, max_batch_tokens: int) -> None:
        self._model, self._device = model, model.device
        self._batcher = MicroBatcher(max_batch, max_batch_tokens)
        self._steps = 0
        for layer in outer_layers(model):
            layer.register_forward_hook(lambda *_: self._count_step())

    def progress(self) -> int:
        """Return the number of layers, decoding steps and forward passes so far."""
        return self._steps

    def cpu_seconds(self) -> float:
        """Return the CPU time of the thread that runs the batches. It takes part in every computation on the CPU."""
        return self._batcher.cpu_seconds()

    async def sleep(self) -> None:
        """Move the weights to host memory. Has no effect on a CPU."""
        await asyncio.to_thread(self._move, torch.device("cpu"))

    async def wake(self) -> None:
        """Move the weights back to the device."""
        await asyncio.to_thread(self._move, self._device)

    def close(self) -> None:
        """Free the model's memory. Calls that are still queued raise RuntimeError."""
        self._batcher.close()
        self._drop()
        torch.cuda.empty_cache()

    def _move(self, device: torch.device) -> None:
        self._model.to(device)
        torch.cuda.empty_cache()

    def _drop(self) -> None:
        """Drop all references to the model."""
        del self._model

    def _count_step(self) -> None:
        self._steps += 1


def outer_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers of a model: the members of its lists of modules, without those of lists inside a layer."""
    lists = [(f"{name}.", part) for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList)]
    outer = [part for name, part in lists if not any(name != other and name.startswith(other) for other, _ in lists)]
    return [layer for part in outer for layer in part]


def run_on_device(run: Callable[[], Result]) -> Result:
    """Return the result of `run`, which computes on the model's device.

    If the device has failed, this process exits: all later requests would fail, too. Ray then starts another one.

    Raises:
        MemoryError: torch ran out of memory. The memory of the failed run has been freed.
    """
    try:
        return run()
    except RuntimeError as error:
        detail = str(error).partition("\n")[0]
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator: can't allocate" not in detail:
            exit_if_cuda_failed(error)
            raise
    # outside of the handler: an exception that is being handled keeps the failed run's tensors alive
    torch.cuda.empty_cache()
    raise MemoryError(detail)
