"""What every phase of a run needs at hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from actors.serving.residency import Stage
from actors.serving.spec import PoolStats
from cluster.resources.autoscaler import ask
from cluster.resources.inventory import Inventory, possible
from cluster.resources.placement import Request
from pipelines.execution.runtime import model_pools as cast
from pipelines.execution.runtime.progress import Board
from pipelines.execution.runtime.retry import Retries
from pipelines.planning.plan import Plan
from pipelines.planning.requests import sizes
from pipelines.planning.residency.phases import Phase, order
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.step import ROW_WISE, Step, rows_of_one
from pipelines.study.spec.study import Study

PoolObserver = Callable[[Mapping[str, PoolStats]], None]

READY_SECONDS = 600.0  # for models to be ready
NODES_SECONDS = 3600.0  # the same, where nodes may have to start first


@dataclass
class Context:
    """A study, its plan, the store and the board. `run` names this run's actors."""

    study: Study
    folder: Path
    store: Store
    plan: Plan
    board: Board
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    rows: dict[str, int] = field(default_factory=dict[str, int])  # of finished steps, by key
    planned_wall: float = 0.0  # seconds that the run was planned to take on this cluster
    pool_observers: list[PoolObserver] = field(default_factory=list[PoolObserver])  # while Ray is connected
    joined: bool = False  # to a cluster, which may have an autoscaler
    retries: Retries = field(default_factory=Retries)

    @cached_property
    def cluster(self) -> Inventory:
        """The connected cluster, as large as it can become."""
        return possible()

    @property
    def ready_seconds(self) -> float:
        """How long models may take to be ready; what a load alone may take is in their pools' terms."""
        return NODES_SECONDS if self.joined else READY_SECONDS

    def phases(self, steps: Sequence[Step]) -> tuple[Phase, ...]:
        """The order of row-wise steps in which models are loaded as seldom as possible.

        Raises ClusterError for a model that the cluster could not hold even alone.
        """
        phases = order(steps, sizes(self.study), self.cluster)
        cast.check_room(self.study, {name for phase in phases for name in phase.models}, self.cluster)
        return phases

    @contextmanager
    def stage(self) -> Generator[Stage]:
        """The models of the study, which come and go within the block."""
        stage = cast.stage(self.study, self.folder, self.run, self.cluster)
        try:
            yield stage
        finally:
            stage.close()
            for name, stats in stage.left:
                self.retries.of_pool(name, stats)

    def ask(self, requests: Sequence[Request]) -> None:
        """Have a cluster with an autoscaler grow to hold so much at once, and no longer what was asked for before."""
        if self.joined:
            bundles = [bundle for request in requests for bundle in request.bundles(self.cluster).elements()]
            ask([bundle.resources() for bundle in bundles])

    def expected_rows(self, step: Step) -> int:
        """The rows that a row-wise step will make if none is rejected before."""
        if step.kind not in ROW_WISE:
            return self.rows_of(step)
        return self.expected_rows(step.inputs[0]) * rows_of_one(step.job)

    def rows_of(self, step: Step) -> int:
        """The rows that a finished step has."""
        if step.key not in self.rows:
            self.rows[step.key] = self.store.manifest(step.kind, step.key).account.rows_out
        return self.rows[step.key]

    def told(self, manifest: Manifest) -> str:
        """A finished step in one line."""
        account = manifest.account
        lost = [f"{count} {reason}" for reason, count in account.reasons.items()]
        rows = f"{account.rows_in} in, {account.rows_out} out" + (f" ({', '.join(lost)})" if lost else "")
        return f"[green]done[/green] {manifest.label}: {rows}, {manifest.seconds:.1f} s"
