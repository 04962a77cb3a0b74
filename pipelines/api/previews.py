"""Previews of a study: a few rows of everything up to the scores, in this process or on a cluster."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from pipelines.api.process.signals import sigterm_as_interrupt
from pipelines.api.process.stderr import redirect_stderr
from pipelines.api.rendering import as_text
from pipelines.api.views.plan import pins_note
from pipelines.api.views.preview.page import render_page
from pipelines.api.views.preview.terminal import show_preview
from pipelines.execution.previewing.model import Preview
from pipelines.execution.previewing.preview import preview
from pipelines.execution.runtime.progress import ProgressDisplay, ProgressObserver
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.file.load import LoadedStudy


@dataclass(frozen=True, repr=False, eq=False)
class StudyPreview:
    """A few seeds with all rows that were made from them; `page` is the path or URL of the same as a page.

    `print(preview)` shows what `evolgrid preview` prints; a notebook shows the page.
    """

    found: Preview
    page: str

    def show(self, console: Console) -> None:
        """Print the rows, what was lost and why, and what the whole run needs."""
        show_preview(console, self.found)

    def __str__(self) -> str:
        return as_text(self.show)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_page(self.found)


def preview_study(
    loaded: LoadedStudy,
    store: Store,
    count: int,
    address: str | None,
    console: Console,
    observers: Sequence[ProgressObserver] = (),
) -> StudyPreview:
    """Preview a checked study with `count` seeds of each seed set, and write the page to the store.

    Nothing is trained. The rows are real: a run does not ask for them again. What libraries print goes to a file.

    Args:
        address: Ray cluster that runs the models, as host:port or "auto". By default, models that need no GPU are
            loaded into this process if they fit, and a local Ray is started for others.

    Raises:
        KeyboardInterrupt: It was interrupted. What was answered is kept.
        EvolgridError: It cannot run or has failed.
    """
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if note := pins_note(loaded):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    with redirect_stderr(), sigterm_as_interrupt(), ProgressDisplay(console) as progress:
        progress.observers += observers
        found = preview(loaded, store, count, progress, address)
    page = posixpath.join(study_folder(store, loaded.study.study), "preview.html")
    store.write_bytes(page, render_page(found).encode())
    return StudyPreview(found, page)
