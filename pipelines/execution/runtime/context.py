"""The context of a run on a connected cluster, which all of its phases share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from actors.serving.residency import ModelResidency
from actors.serving.spec import PoolStats
from cluster.resources.autoscaler import request_capacity
from cluster.resources.inventory import Inventory
from cluster.resources.placement import ResourceRequest
from pipelines.execution.runtime import model_pools as cast
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.retry import RetryBudget
from pipelines.execution.runtime.row_counts import RowCounts
from pipelines.execution.runtime.spending import SpendingMeter
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import Phase, order_phases
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

PoolObserver = Callable[[Mapping[str, PoolStats]], None]

MODEL_READY_TIMEOUT = 600.0  # seconds until models are ready
NODE_START_TIMEOUT = 3600.0  # seconds, if nodes may have to start first


@dataclass(frozen=True)
class RunContext:
    """A study, the store of its results, and the connected cluster at its maximum size.

    The plan is not part of the context: each phase takes the plan, and returns it with its steps marked as finished.
    `run_id` is part of the names of this run's actors. A shared cluster keeps running after the run and may have an
    autoscaler. `stream_workers` is the number of workers of a stream; if it is None, it follows from the cluster.
    With `probed_seeds`, row-wise steps process the rows of the first `probed_seeds` seeds, and stay unfinished.
    """

    study: Study
    folder: Path
    store: Store
    progress: ProgressDisplay
    cluster: Inventory
    on_shared_cluster: bool = False
    retries: RetryBudget = field(default_factory=RetryBudget)
    spending: SpendingMeter | None = None
    pool_observers: tuple[PoolObserver, ...] = ()
    stream_workers: int | None = None
    probed_seeds: int | None = None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @cached_property
    def row_counts(self) -> RowCounts:
        """Row counts of the store's finished steps."""
        return RowCounts(self.store, self.probed_seeds)

    @property
    def ready_timeout(self) -> float:
        """Seconds until models must be ready, node startup included. Pools have a separate limit for the load alone."""
        return NODE_START_TIMEOUT if self.on_shared_cluster else MODEL_READY_TIMEOUT

    def phases(self, steps: Sequence[Step]) -> tuple[Phase, ...]:
        """Return phases of row-wise steps in an order with as few model loads as possible.

        Raises:
            ClusterError: If a model does not fit into the cluster even alone.
        """
        phases = order_phases(steps, replica_requests(self.study), self.cluster)
        cast.check_models_fit(self.study, {name for phase in phases for name in phase.models}, self.cluster)
        return phases

    @contextmanager
    def residency(self) -> Generator[ModelResidency]:
        """Yield the residency of the study's models. At the end, close it and count the retries of its pools."""
        stage = cast.residency(self.study, self.folder, self.run_id)
        with self.spending.counting(stage) if self.spending else nullcontext():
            try:
                yield stage
            finally:
                stage.close()
                for name, stats in stage.final_stats:
                    self.retries.add_pool(name, stats)

    def count_evaluator(self, stats: PoolStats) -> None:
        """Count the retries and the spending of an evaluator that has been closed."""
        self.retries.add_pool("students", stats)
        if self.spending:
            self.spending.add_pool("students", stats)

    def hold(self, requests: Sequence[ResourceRequest]) -> None:
        """Ask the autoscaler to fit these requests of trainings, and count the time for which they hold GPUs."""
        self.request_resources(requests)
        if self.spending:
            self.spending.gpus_of_trainings = sum(request.gpus * request.replicas for request in requests)

    def request_resources(self, requests: Sequence[ResourceRequest]) -> None:
        """Ask a shared cluster's autoscaler to fit all `requests` at once, in place of the previous call's requests."""
        if self.on_shared_cluster:
            bundles = [
                bundle
                for request in requests
                if request.reserves
                for bundle in request.bundles(self.cluster).elements()
            ]
            request_capacity([bundle.resources() for bundle in bundles])
