"""Computations in threads of their own leave no thread of OpenMP behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import torch

from actors.compute_threads import in_new_thread


def threads() -> set[str]:
    """Return the ids of this process's threads."""
    return {path.name for path in Path("/proc/self/task").iterdir()}


def compute() -> set[str]:
    """Compute in parallel, and return the threads that have been started for it."""
    before, count = threads(), torch.get_num_threads()
    torch.set_num_threads(2)
    torch.ones(1 << 22).mul_(2)
    torch.set_num_threads(count)
    return threads() - before


def test_the_threads_of_a_computation_end_with_it() -> None:
    async def scenario() -> None:
        await in_new_thread(compute)  # the first computation also starts a thread that stays
        started = await in_new_thread(compute)
        assert started
        while started & threads():
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 60))
