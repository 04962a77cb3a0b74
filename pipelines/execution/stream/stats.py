"""Collects Ray Data's statistics of a stream in the form that the store keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.store.studies.stream_stats import OperatorStats, StreamStats
from pipelines.study.graph.steps.step import Step

if TYPE_CHECKING:
    from ray.data import Dataset

    from cluster.ray_internals import DatasetStatsSummary


def collect_stats(dataset: Dataset, steps: Sequence[Step]) -> StreamStats:
    """Return Ray Data's statistics of a stream that has just finished."""
    summary = dataset.get_stats_summary()
    return StreamStats(
        ended=datetime.now(UTC),
        seconds=summary.time_total_s,
        steps={step.key: step.label for step in steps},
        operators=list(_operator_stats(summary)),
        text=summary.to_string(),
    )


def _operator_stats(summary: DatasetStatsSummary) -> Iterator[OperatorStats]:
    """Yield statistics of operators in the order of the data flow. A summary only has the metrics of one operator."""
    for parent in summary.parents:
        yield from _operator_stats(parent)
    for operator in summary.operators_stats:
        metrics = summary.extra_metrics
        backpressure_metrics = ("task_submission_backpressure_time", "task_output_backpressure_time_s")
        peak = metrics.get("max_uss_bytes", {}).get("max")
        yield OperatorStats(
            operator=operator.operator_name,
            wall_seconds=operator.wall_time.sum if operator.wall_time else 0.0,
            cpu_seconds=operator.cpu_time.sum if operator.cpu_time else 0.0,
            rows=int(operator.output_num_rows.sum) if operator.output_num_rows else 0,
            output_bytes=int(operator.output_size_bytes.sum) if operator.output_size_bytes else 0,
            failed_tasks=metrics.get("num_tasks_failed", 0),
            peak_bytes=None if peak is None else int(peak),
            waited_seconds=sum(metrics.get(name) or 0.0 for name in backpressure_metrics),
        )
