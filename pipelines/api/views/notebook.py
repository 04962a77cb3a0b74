"""The progress of a run in a notebook: bars of the running steps, and the last lines of its output."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.console import Console
from rich.text import Text

from pipelines.execution.runtime.progress import ProgressObserver, ProgressUpdate, rate_text, time_text

REFRESH_SECONDS = 0.5
SHOWN_LINES = 6
MAX_LINES = 2000  # that can be unfolded
MAX_BARS = 12


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, which shows HTML."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


@contextmanager
def shown_progress(quiet: bool) -> Generator[tuple[Console, Sequence[ProgressObserver]]]:
    """Yield a console and observers that show a run where Python code shows it: in a notebook, or on the terminal."""
    if quiet or not in_notebook():
        yield Console(quiet=quiet), ()
        return
    display = NotebookDisplay()
    try:
        yield Console(quiet=True), (display,)
    finally:
        display.close()


class NotebookDisplay:
    """Shows what it observes of a run in one output of a notebook's cell, and refreshes it in place."""

    def __init__(self) -> None:
        self._lines = deque[str](maxlen=MAX_LINES)
        self._running: dict[str, ProgressUpdate] = {}
        self._lock = threading.Lock()
        self._shown_at = 0.0
        self._handle: Any = None

    def observe(self, update: ProgressUpdate) -> None:
        """Show the progress of a step."""
        with self._lock:
            if update.finished or update.done >= update.total:
                self._running.pop(update.key, None)
            else:
                self._running[update.key] = update
            self._refresh()

    def message(self, markup: str) -> None:
        """Show a line of the run's output."""
        with self._lock:
            self._lines.append(Text.from_markup(markup).plain)
            self._refresh()

    def close(self) -> None:
        """Show the last state, without bars."""
        with self._lock:
            self._running.clear()
            self._refresh(now=True)

    def _refresh(self, now: bool = False) -> None:
        if not now and time.monotonic() - self._shown_at < REFRESH_SECONDS:
            return
        from IPython.display import display

        self._shown_at = time.monotonic()
        content = {"text/html": self.html(), "text/plain": "\n".join([*self._lines][-SHOWN_LINES:])}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def html(self) -> str:
        """Return the present state."""
        lines = [escape(line) for line in self._lines]
        older, last = lines[:-SHOWN_LINES], lines[-SHOWN_LINES:]
        folded = (
            f"<details><summary>{len(older)} earlier lines</summary>{'<br>'.join(older)}</details>" if older else ""
        )
        bars = "".join(_bar(update) for update in [*self._running.values()][:MAX_BARS])
        return f"<div style='font-size: 90%'>{folded}{'<br>'.join(last)}<table>{bars}</table></div>"


def _bar(update: ProgressUpdate) -> str:
    pace = ""
    if update.per_second > 0:
        left = time_text((update.total - update.done) / update.per_second)
        pace = f"{rate_text(update.per_second)}, {left} left"
    cells = (
        f"<td style='text-align: left'>{escape(update.label)}</td>",
        f"<td><progress value='{update.done}' max='{update.total}'></progress></td>",
        f"<td>{update.done}/{update.total}</td>",
        f"<td style='text-align: left'>{escape(', '.join(filter(None, (pace, update.note))))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"
