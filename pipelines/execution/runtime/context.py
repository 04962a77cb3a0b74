"""What every phase of a run needs at hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from actors.serving.residency import ModelResidency
from actors.serving.spec import PoolStats
from cluster.resources.autoscaler import request_capacity
from cluster.resources.inventory import Inventory, max_inventory
from cluster.resources.placement import ResourceRequest
from pipelines.execution.runtime import model_pools as cast
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.retry import RetryBudget
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import Phase, order_phases
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.step import ROW_WISE, Step, rows_per_input
from pipelines.study.spec.study import Study

PoolObserver = Callable[[Mapping[str, PoolStats]], None]

MODEL_READY_TIMEOUT = 600.0  # for models to be ready
NODE_START_TIMEOUT = 3600.0  # the same, where nodes may have to start first


@dataclass
class RunContext:
    """A study, its plan, the store and the board. `run_id` names this run's actors."""

    study: Study
    folder: Path
    store: Store
    plan: Plan
    progress: ProgressDisplay
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    row_counts: dict[str, int] = field(default_factory=dict[str, int])  # of finished steps, by key
    planned_wall: float = 0.0  # seconds that the run was planned to take on this cluster
    pool_observers: list[PoolObserver] = field(default_factory=list[PoolObserver])  # while Ray is connected
    on_shared_cluster: bool = False  # to a cluster, which may have an autoscaler
    retries: RetryBudget = field(default_factory=RetryBudget)

    @cached_property
    def cluster(self) -> Inventory:
        """The connected cluster, as large as it can become."""
        return max_inventory()

    @property
    def ready_timeout(self) -> float:
        """How long models may take to be ready; what a load alone may take is in their pools' terms."""
        return NODE_START_TIMEOUT if self.on_shared_cluster else MODEL_READY_TIMEOUT

    def phases(self, steps: Sequence[Step]) -> tuple[Phase, ...]:
        """The order of row-wise steps in which models are loaded as seldom as possible.

        Raises ClusterError for a model that the cluster could not hold even alone.
        """
        phases = order_phases(steps, replica_requests(self.study), self.cluster)
        cast.check_models_fit(self.study, {name for phase in phases for name in phase.models}, self.cluster)
        return phases

    @contextmanager
    def residency(self) -> Generator[ModelResidency]:
        """The models of the study, which come and go within the block."""
        stage = cast.residency(self.study, self.folder, self.run_id, self.cluster)
        try:
            yield stage
        finally:
            stage.close()
            for name, stats in stage.final_stats:
                self.retries.add_pool(name, stats)

    def request_resources(self, requests: Sequence[ResourceRequest]) -> None:
        """Have a cluster with an autoscaler grow to hold so much at once, and no longer what was asked for before."""
        if self.on_shared_cluster:
            bundles = [bundle for request in requests for bundle in request.bundles(self.cluster).elements()]
            request_capacity([bundle.resources() for bundle in bundles])

    def expected_rows(self, step: Step) -> int:
        """The rows that a row-wise step will make if none is rejected before."""
        if step.kind not in ROW_WISE:
            return self.rows_of(step)
        return self.expected_rows(step.inputs[0]) * rows_per_input(step.params)

    def rows_of(self, step: Step) -> int:
        """The rows that a finished step has."""
        if step.key not in self.row_counts:
            self.row_counts[step.key] = self.store.manifest(step.kind, step.key).account.rows_out
        return self.row_counts[step.key]

    def describe(self, manifest: Manifest) -> str:
        """A finished step in one line."""
        account = manifest.account
        lost = [f"{count} {reason}" for reason, count in account.reasons.items()]
        rows = f"{account.rows_in} in, {account.rows_out} out" + (f" ({', '.join(lost)})" if lost else "")
        return f"[green]done[/green] {manifest.label}: {rows}, {manifest.seconds:.1f} s"
