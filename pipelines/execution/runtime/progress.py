"""The progress display of a running study: each step's rows, rate and remaining time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from pipelines.rows.readers import describe_note
from pipelines.store.manifest import Manifest

LINE_INTERVAL_SECONDS = 10.0
WIDE_COLUMNS = 120
RATE_CHANGES = 10  # the rate is that of a step's last changes: it may have waited for other steps before


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """The progress of a step, in rows or optimizer steps, and the loss of a training; or that the step has finished.

    `failure` is why it has failed, if it has.
    """

    key: str
    label: str = ""
    done: int = 0
    total: int = 0
    per_second: float = 0.0
    note: str = ""
    loss: float | None = None
    finished: bool = False
    failure: str = ""


class ProgressObserver(Protocol):
    """Receives what a run displays, from any of its threads."""

    def observe(self, update: ProgressUpdate) -> None:
        """Receive the progress of a step."""
        ...

    def message(self, markup: str) -> None:
        """Receive a line in rich's markup."""
        ...


class ProgressDisplay:
    """Progress by step: bars of the running steps on a terminal, otherwise a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if console.width >= WIDE_COLUMNS else 6),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.changes: dict[str, deque[tuple[float, int]]] = {}  # times and rows of a step's last changes
        self.last_line_at = time.monotonic()
        self.observers: list[ProgressObserver] = []

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    @contextmanager
    def observed_by(self, observer: ProgressObserver) -> Generator[None]:
        """Pass everything that is displayed within the block to an observer, too."""
        self.observers.append(observer)
        try:
            yield
        finally:
            self.observers.remove(observer)

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text, highlight=False, soft_wrap=True)
        for observer in self.observers:
            observer.message(text)

    def update(self, key: str, label: str, done: int, total: int, note: str = "", loss: float | None = None) -> None:
        """Show the progress of a step, in rows or optimizer steps. `note` is shown after its rate.

        `loss` is that of a training at this step; only observers receive it.
        """
        if key not in self.tasks:
            self.tasks[key] = self.bars.add_task(label, total=total, pace="")
            self.changes[key] = deque([(time.monotonic(), done)], maxlen=RATE_CHANGES)
        if done != self.changes[key][-1][1]:
            self.changes[key].append((time.monotonic(), done))
        pace = self.pace(key, done, total, note)
        for observer in self.observers:
            observer.observe(ProgressUpdate(key, label, done, total, self.rate(key, done), note, loss))
        self.bars.update(self.tasks[key], completed=done, total=total, visible=done < total, pace=pace)
        if (
            done < total
            and not self.console.is_terminal
            and time.monotonic() - self.last_line_at > LINE_INTERVAL_SECONDS
        ):
            self.last_line_at = time.monotonic()
            self.print(f"  {label}: {done}/{total}, {escape(pace)}")

    def pace(self, key: str, done: int, total: int, note: str) -> str:
        """Return a step's rate and remaining time, or how long it has been working on its first rows."""
        rate, passed = self.rate(key, done), time.monotonic() - self.changes[key][0][0]
        parts = (
            (rate_text(rate), f"{time_text((total - done) / rate)} left") if rate else (f"after {time_text(passed)}",)
        )
        return ", ".join(filter(None, (*parts, note)))

    def rate(self, key: str, done: int) -> float:
        """Return a step's rate per second over its last changes."""
        started, before = self.changes[key][0]
        return (done - before) / max(time.monotonic() - started, 1e-3)

    def finish_step(self, manifest: Manifest) -> None:
        """Remove the bar of a finished step; print its row counts, and what its rows had that was not used."""
        self.finish(manifest.key, _describe(manifest))
        for note, count in manifest.notes.items():
            self.print(f"  [yellow]{manifest.label}[/yellow]: {escape(describe_note(note, count))}")

    def fail_step(self, key: str, label: str, why: str) -> None:
        """Remove the bar of a step that has failed, and print why."""
        self.finish(key, f"[red]failed[/red] {label}: {escape(why)}")
        for observer in self.observers:
            observer.observe(ProgressUpdate(key, finished=True, failure=why))

    def finish(self, key: str, text: str) -> None:
        """Remove the bar of a step, if it has one, and print `text`."""
        if key in self.tasks:
            self.bars.remove_task(self.tasks.pop(key))
        for observer in self.observers:
            observer.observe(ProgressUpdate(key, finished=True))
        self.print(text)


def rate_text(per_second: float) -> str:
    """Return a rate per second, minute or hour, whichever makes it a readable number."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.1f}/{unit}"
    return f"{per_second * 3600:.2g}/h"


def time_text(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _describe(manifest: Manifest) -> str:
    """Describe a finished step in one line."""
    account = manifest.account
    lost = [f"{count} {reason}" for reason, count in account.reasons.items()]
    rows = f"{account.rows_in} in, {account.rows_out} out" + (f" ({', '.join(lost)})" if lost else "")
    return f"[green]done[/green] {manifest.label}: {rows}, {manifest.seconds:.1f} s"
