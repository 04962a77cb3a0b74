"""Prints Ray Data's statistics of the streams that ran a study's steps, for `evolgrid status --stats`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipelines.store.studies.stream_stats import OperatorStats, StreamStats

MAX_LABELS_SHOWN = 20
MIB = 2**20


def show_streams(console: Console, streams: Sequence[StreamStats]) -> None:
    """Print the operators of each stream, and the steps that it ran."""
    if not streams:
        console.print("Ray Data's statistics: no stream of these steps has finished yet", highlight=False)
        return
    title = "Ray Data's statistics of the last stream of each step (rejected and failed rows count as rows)"
    table = Table("stream", "operator", title=title, title_justify="left")
    for name in ("wall", "CPU", "rows", "MiB out", "peak MiB", "backpressure", "failed tasks"):
        table.add_column(name, justify="right")
    for number, stream in enumerate(streams, 1):
        for operator in stream.operators:
            table.add_row(str(number), operator.operator, *_figures(operator))
    console.print(table)
    for number, stream in enumerate(streams, 1):
        labels = list(stream.steps.values())
        more = f", and {len(labels) - MAX_LABELS_SHOWN} more" if len(labels) > MAX_LABELS_SHOWN else ""
        heading = f"stream {number}, {stream.ended:%Y-%m-%d %H:%M} UTC, {stream.seconds:.1f} s: "
        console.print(
            heading + ", ".join(labels[:MAX_LABELS_SHOWN]) + more, highlight=False, markup=False, soft_wrap=True
        )


def _figures(operator: OperatorStats) -> tuple[str, ...]:
    return (
        f"{operator.wall_seconds:.1f} s",
        f"{operator.cpu_seconds:.1f} s",
        f"{operator.rows:,}",
        f"{operator.output_bytes / MIB:.1f}",
        "" if operator.peak_bytes is None else f"{operator.peak_bytes / MIB:,.0f}",
        f"{operator.waited_seconds:.1f} s",
        f"{operator.failed_tasks:,}",
    )
