"""Runs a study in this process, on a Ray of its own or on a cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import fields

from rich.console import Console

from pipelines.api.process.signals import sigterm_as_interrupt
from pipelines.api.process.stderr import redirect_stderr
from pipelines.api.rendering import as_html, as_text
from pipelines.api.views.plan import pins_note
from pipelines.api.views.summary import show_summary
from pipelines.errors import InputError
from pipelines.execution.runner import Summary, run
from pipelines.execution.runtime.events import log_to
from pipelines.execution.runtime.progress import ProgressObserver
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy


class RunSummary(Summary):
    """The result of a run: numbers of steps, failures, seconds, and where the report is. Prints as a few lines."""

    @property
    def ok(self) -> bool:
        """Whether every student was trained, and no step has lost all of its rows."""
        return not self.failures and not self.failed_steps

    def show(self, console: Console) -> None:
        """Print the result in a few lines."""
        show_summary(console, self)

    def __str__(self) -> str:
        return as_text(self.show)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.show)


def run_study(
    loaded: LoadedStudy,
    store: Store,
    address: str | None,
    console: Console,
    *,
    retry_failed: bool = False,
    log: str | None = None,
    observers: Sequence[ProgressObserver] = (),
) -> RunSummary:
    """Run a checked study, and print its progress to the console.

    SIGTERM interrupts it like Ctrl-C. What Ray and native libraries print goes to a file (`details_file`).

    Args:
        address: Ray cluster to connect to, as host:port or 'auto'. By default a local one is started, unless this
            process is connected to one.
        retry_failed: Whether to ask the failed rows of finished steps again.
        log: A file to which events are appended, or "store".
        observers: What receives everything that is shown.

    Raises:
        KeyboardInterrupt: It was interrupted. What is finished is kept, and the next run continues.
        EvolgridError: It cannot run or has failed.
    """
    if loaded.study.budget and threading.current_thread() is not threading.main_thread():
        raise InputError(
            "a study with a budget can run in the main thread only, which is stopped when the budget is spent",
            file=loaded.file,
            field="budget",
        )
    # after an interrupt, threads that still call Ray must get an error instead of starting a new local Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if note := pins_note(loaded):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    with redirect_stderr(), sigterm_as_interrupt(), log_to(log, store, loaded.study.study):
        summary = run(loaded, store, address, console, retry_failed=retry_failed, observers=observers)
    return RunSummary(**{field.name: getattr(summary, field.name) for field in fields(summary)})
