"""Sandboxes for as long as steps need them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager

from actors.sandbox.pool import SandboxClient, SandboxPool
from actors.sandbox.protocol.job import Level
from cluster.resources.inventory import Inventory
from pipelines.study.graph.step import Step

MAX_SANDBOXES = 16


@contextmanager
def sandboxes(cluster: Inventory, steps: Iterable[Step]) -> Generator[Mapping[Level, SandboxClient]]:
    """Sandboxes of every level that these steps run foreign code at, within the block: one for each CPU.

    SandboxError, with what is missing, where a machine can not give the level.
    """
    levels: set[Level] = {level for step in steps if (level := step.params.sandbox_level)}
    size = max(1, min(MAX_SANDBOXES, int(cluster.cpus)))
    with ExitStack() as stack:
        # they ask for no CPU of their own: engines may hold all that there is
        clients: dict[Level, SandboxClient] = {}
        for level in levels:
            clients[level] = stack.enter_context(SandboxPool(size, level, cpus_per_sandbox=0)).client()
        yield clients
