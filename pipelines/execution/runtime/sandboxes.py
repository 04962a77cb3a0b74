"""Starts the sandboxes that steps need, and stops them afterwards."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager

from actors.sandbox.pool import SandboxClient, SandboxPool
from actors.sandbox.protocol.job import Level
from cluster.resources.inventory import Inventory
from pipelines.study.graph.steps.step import Step

MAX_SANDBOXES = 16


@contextmanager
def sandboxes(cluster: Inventory, steps: Iterable[Step]) -> Generator[Mapping[Level, SandboxClient]]:
    """Yield clients of sandboxes by level, for all levels at which `steps` run foreign code.

    Each level has one sandbox per CPU, up to MAX_SANDBOXES. They are stopped at the end of the block.

    Raises:
        SandboxError: If a node cannot provide a level; it says what is missing.
    """
    levels: set[Level] = {level for step in steps if (level := step.params.sandbox_level)}
    size = max(1, min(MAX_SANDBOXES, int(cluster.cpus)))
    with ExitStack() as stack:
        # sandboxes reserve no CPU: engines may have reserved all of them
        clients: dict[Level, SandboxClient] = {}
        for level in levels:
            clients[level] = stack.enter_context(SandboxPool(size, level, cpus_per_sandbox=0)).client()
        yield clients
