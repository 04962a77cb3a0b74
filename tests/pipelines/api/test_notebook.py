"""What a notebook shows of a run."""

from __future__ import annotations

import io
import re

from rich.console import Console

from pipelines.api.views.notebook import SHOWN_LINES, NotebookDisplay, in_notebook
from pipelines.execution.runtime.progress import ProgressDisplay


def test_bars_and_lines_are_shown_as_text() -> None:
    display = NotebookDisplay()
    display._shown_at = float("inf")  # nothing is sent: there is no kernel
    with ProgressDisplay(Console(file=io.StringIO())) as progress, progress.observed_by(display):
        progress.update("a" * 64, "train <b> r1", 3, 10, loss=0.5)
        for number in range(SHOWN_LINES + 2):
            progress.print(f"[yellow]line[/yellow] {number} <script>")
    page = display.html()
    assert "train &lt;b&gt; r1" in page and "value='3' max='10'" in page and "<script>" not in page
    assert "<summary>2 earlier lines</summary>line 0" in page and page.count("<details>") == 1
    with progress.observed_by(display):
        progress.finish("a" * 64, "done")
    assert "progress" not in display.html() and re.search(r"done<table></table>", display.html())


def test_a_test_is_no_notebook() -> None:
    assert not in_notebook()
