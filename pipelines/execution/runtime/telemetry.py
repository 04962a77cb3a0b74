"""Prometheus metrics of a run, exported by Ray on the driver's node; docs/grafana.json is a dashboard for them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

import ray
from ray.util.metrics import Counter, Gauge

from actors.serving.spec import PoolStats
from pipelines.execution.runtime.context import PoolObserver
from pipelines.execution.runtime.events import event_fields, listening
from pipelines.planning.plan import Plan
from pipelines.study.spec.study import Study

METRICS_INTERVAL_SECONDS = 5.0


class Telemetry(logging.Handler):
    """The metrics of one run, updated from its step events and from the statistics of its pools."""

    def __init__(self, study: Study, plan: Plan) -> None:
        super().__init__()
        self._study, self._models = study.study, study.models
        self._before: dict[str, dict[str, float]] = {}
        of_model, of_step = ("study", "model"), ("study", "kind")
        self._tokens = Counter("evolgrid_tokens_total", "tokens read and written", (*of_model, "direction"))
        self._requests = Counter("evolgrid_requests_total", "requests answered", of_model)
        self._deaths = Counter("evolgrid_replica_deaths_total", "replicas that crashed", of_model)
        self._queued = Gauge("evolgrid_requests_queued", "requests that wait for a replica", of_model)
        self._in_flight = Gauge("evolgrid_requests_in_flight", "requests at replicas", of_model)
        self._replicas = Gauge("evolgrid_replicas", "replicas of a model", of_model)
        self._steps = Counter("evolgrid_steps_total", "steps that were run, reused or failed", (*of_step, "how"))
        self._rows = Counter("evolgrid_rows_total", "rows of finished steps", (*of_step, "outcome"))
        self._idle = Gauge("evolgrid_gpu_idle_share", "fraction of the cluster's GPUs that are idle", ("study",))
        self._gpus = Gauge("evolgrid_gpus", "GPUs of the cluster", ("study",))
        self._busy: float | None = None  # busy GPUs of engines while a stream runs, otherwise None
        for key in plan.done:
            self._count(self._steps, 1, kind=plan.grid.steps[key].kind, how="reused")

    def emit(self, record: logging.LogRecord) -> None:
        """Count a failed step, or a finished step and its rows."""
        how = {"step finished": "run", "step failed": "failed"}.get(record.getMessage())
        if how is None:
            return
        fields = event_fields(record)
        self._count(self._steps, 1, kind=fields["kind"], how=how)
        if how == "failed":
            return
        for outcome in ("rows_out", "rejected", "failed"):
            self._count(self._rows, fields[outcome], kind=fields["kind"], outcome=outcome)

    def observe_pools(self, stats: Mapping[str, PoolStats]) -> None:
        """Update the metrics of the pools. Without pools, the stream has finished."""
        self._busy = None if not stats else sum(self._busy_gpus(name, each) for name, each in stats.items())
        for name, each in stats.items():
            tags = {"study": self._study, "model": name}
            self._queued.set(each.queued, tags)
            self._in_flight.set(each.in_flight, tags)
            self._replicas.set(each.replicas, tags)
            work = each.totals
            self._count_growth(self._requests, name, "requests", work.requests)
            self._count_growth(self._deaths, name, "crashes", work.crashes)
            self._count_growth(self._tokens, name, "tokens_in", work.tokens_in, direction="in")
            self._count_growth(self._tokens, name, "tokens_out", work.tokens_out, direction="out")

    def sample(self) -> None:
        """Update the metrics of the cluster. A GPU is idle if it is unreserved or if its engine has no requests."""
        gpus = ray.cluster_resources().get("GPU", 0.0)
        held = gpus - ray.available_resources().get("GPU", 0.0)
        busy = held if self._busy is None else min(held, self._busy)
        self._gpus.set(gpus, {"study": self._study})
        self._idle.set(1 - busy / gpus if gpus else 0.0, {"study": self._study})

    def _busy_gpus(self, name: str, stats: PoolStats) -> float:
        return min(stats.in_flight, stats.replicas) * self._models[name].gpus if name in self._models else 0.0

    def _count_growth(self, counter: Counter, model: str, total: str, value: float, **tags: str) -> None:
        """Count the growth of a pool's total since the last call. The totals of a model's new pool start at 0."""
        before = self._before.setdefault(model, {})
        growth = value - before.get(total, 0.0) if value >= before.get(total, 0.0) else value
        before[total] = value
        self._count(counter, growth, model=model, **tags)

    def _count(self, counter: Counter, more: float, **tags: str) -> None:
        if more > 0:  # Ray rejects an increment of 0
            counter.inc(more, {"study": self._study} | tags)


@contextmanager
def exporting_metrics(study: Study, plan: Plan) -> Generator[PoolObserver]:
    """Export the metrics of a run within the block. Ray must be connected.

    Yields an observer; the caller must pass it the statistics of the run's pools.
    """
    telemetry, stopped = Telemetry(study, plan), Event()

    def watch() -> None:
        telemetry.sample()  # immediately: a run may finish before the first interval does
        while not stopped.wait(METRICS_INTERVAL_SECONDS):
            telemetry.sample()

    thread = Thread(target=watch, name="telemetry", daemon=True)
    thread.start()
    try:
        with listening(telemetry):
            yield telemetry.observe_pools
    finally:
        stopped.set()
        thread.join()
