"""What Ray Data measured of each finished stream: `studies/NAME/streams/TIME.json` in the store, one file each."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel

from pipelines.record import study_folder
from pipelines.store import files
from pipelines.store.store import Store
from pipelines.study.steps import Step

if TYPE_CHECKING:
    from ray.data import Dataset
    from ray.data._internal.stats import DatasetStatsSummary


class OperatorStats(BaseModel):
    """One operator of Ray Data. `wall_seconds`, `cpu_seconds` and `output_bytes` are sums over its blocks.

    `rows` are what it put out; what a stream deals out are units of many rows each. `peak_bytes` is the unique set size
    of a worker at most, None where the machine does not tell; `waited_seconds` is backpressure, of both directions.
    """

    operator: str
    wall_seconds: float
    cpu_seconds: float
    rows: int
    output_bytes: int
    failed_tasks: int
    peak_bytes: int | None
    waited_seconds: float


class StreamStats(BaseModel):
    """One stream: its steps (key -> label), which share all figures, Ray Data's operators, and Ray's own text."""

    ended: datetime
    seconds: float
    steps: dict[str, str]
    operators: list[OperatorStats]
    text: str


def measured(dataset: Dataset, steps: Sequence[Step]) -> StreamStats:
    """What Ray Data measured of a stream that has just ended."""
    summary = dataset.get_stats_summary()
    return StreamStats(
        ended=datetime.now(UTC),
        seconds=summary.time_total_s,
        steps={step.key: step.label for step in steps},
        operators=list(_operators(summary)),
        text=summary.to_string(),
    )


def _operators(summary: DatasetStatsSummary) -> Iterator[OperatorStats]:
    """The operators in the order in which rows pass them; a summary holds the metrics of its own one."""
    for parent in summary.parents:
        yield from _operators(parent)
    for operator in summary.operators_stats:
        metrics = summary.extra_metrics
        waited = ("task_submission_backpressure_time", "task_output_backpressure_time_s")
        peak = metrics.get("max_uss_bytes", {}).get("max")
        yield OperatorStats(
            operator=operator.operator_name,
            wall_seconds=operator.wall_time.sum if operator.wall_time else 0.0,
            cpu_seconds=operator.cpu_time.sum if operator.cpu_time else 0.0,
            rows=int(operator.output_num_rows.sum) if operator.output_num_rows else 0,
            output_bytes=int(operator.output_size_bytes.sum) if operator.output_size_bytes else 0,
            failed_tasks=metrics.get("num_tasks_failed", 0),
            peak_bytes=None if peak is None else int(peak),
            waited_seconds=sum(metrics.get(name) or 0.0 for name in waited),
        )


def save_stream(store: Store, study: str, stats: StreamStats) -> None:
    """Keep what was measured, beside that of the study's earlier streams."""
    path = posixpath.join(study_folder(store, study), "streams", f"{stats.ended:%Y%m%dT%H%M%S.%fZ}.json")
    store.write_bytes(path, stats.model_dump_json(indent=1).encode())


def load_streams(store: Store, keys: Collection[str]) -> list[StreamStats]:
    """The newest stream of each of these steps, whichever study ran it; oldest first."""
    paths = files.listed(store.fs, posixpath.join(study_folder(store, "*"), "streams", "*.json"))
    found = sorted((StreamStats.model_validate_json(store.read_bytes(path)) for path in paths), key=lambda s: s.ended)
    newest = {key: number for number, stream in enumerate(found) for key in stream.steps if key in keys}
    return [found[number] for number in sorted(set(newest.values()))]
