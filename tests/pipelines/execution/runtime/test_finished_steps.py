"""What a run prints about a finished step."""

from __future__ import annotations

import io

from rich.console import Console

from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.store.manifest import Account, Manifest


def test_a_finished_step_says_what_its_rows_had_that_is_not_used() -> None:
    printed = io.StringIO()
    manifest = Manifest(
        key="k",
        kind="seeds",
        label="seeds own",
        payload={},
        inputs=(),
        account=Account(rows_in=6, rows_out=6),
        shards=(),
        seconds=0.1,
        finished="",
        versions={},
        extra={"notes": {"a system text, which is not used": 6, "a column '[x]', which is not used": 1}},
    )
    with ProgressDisplay(Console(file=printed, width=200)) as progress:
        progress.finish_step(manifest)
    assert "seeds own: 6 rows had a system text, which is not used\n" in printed.getvalue()
    assert "seeds own: 1 row had a column '[x]', which is not used\n" in printed.getvalue()
