"""The progress display of a running study: each step's rows, rate and remaining time."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import (
    TimeRemainingColumn as EtaColumn,
)
from rich.text import Text

from pipelines.rows.readers import describe_note
from pipelines.store.manifest import Manifest

LINE_INTERVAL_SECONDS = 10.0


class RateColumn(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of a bar, or an empty text until it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class ProgressDisplay:
    """Progress by step: bars of the running steps on a terminal, otherwise a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            RateColumn(),
            TextColumn("eta"),
            EtaColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, tuple[float, int]] = {}  # time and rows of a step's first update
        self.last_line_at = time.monotonic()

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def update(self, key: str, label: str, done: int, total: int) -> None:
        """Show the progress of a step, in rows or optimizer steps."""
        if key not in self.tasks:
            self.tasks[key] = self.bars.add_task(label, total=total)
            self.started[key] = time.monotonic(), done
        self.bars.update(self.tasks[key], completed=done, total=total, visible=done < total)
        if (
            done < total
            and not self.console.is_terminal
            and time.monotonic() - self.last_line_at > LINE_INTERVAL_SECONDS
        ):
            self.last_line_at = time.monotonic()
            self.print(self.progress_line(key, label, done, total))

    def progress_line(self, key: str, label: str, done: int, total: int) -> str:
        """Return a step's progress as a line of text."""
        started, before = self.started[key]
        rate = (done - before) / max(time.monotonic() - started, 1e-3)
        pace = f", {rate:.1f}/s, {(total - done) / rate:.0f} s left" if rate > 0 else ""
        return f"  {label}: {done}/{total}{pace}"

    def finish_step(self, manifest: Manifest) -> None:
        """Remove the bar of a finished step; print its row counts, and what its rows had that was not used."""
        self.finish(manifest.key, _describe(manifest))
        for note, count in manifest.notes.items():
            self.print(f"  [yellow]{manifest.label}[/yellow]: {escape(describe_note(note, count))}")

    def finish(self, key: str, text: str) -> None:
        """Remove the bar of a step, if it has one, and print `text`."""
        if key in self.tasks:
            self.bars.remove_task(self.tasks.pop(key))
        self.print(text)


def _describe(manifest: Manifest) -> str:
    """Describe a finished step in one line."""
    account = manifest.account
    lost = [f"{count} {reason}" for reason, count in account.reasons.items()]
    rows = f"{account.rows_in} in, {account.rows_out} out" + (f" ({', '.join(lost)})" if lost else "")
    return f"[green]done[/green] {manifest.label}: {rows}, {manifest.seconds:.1f} s"
