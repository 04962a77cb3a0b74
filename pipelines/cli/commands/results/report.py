"""`evolgrid report`: writes the report of a study again."""

from __future__ import annotations

import typer
from rich.console import Console

from pipelines.cli.common.options import DEFAULT_STORE, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, add_command


def report(study: StudyFile, store: StoreUrl = DEFAULT_STORE, seeds: SeedFile = None) -> None:
    """Write the report again from all finished steps."""
    from pipelines.cli.views.claims import show_claims
    from pipelines.results.report.publish import publish, read_verdicts
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded = load_and_check(study, seeds)
    target, console = Store(store), Console()
    page = publish(loaded.study, loaded.folder, build(loaded.study, loaded.folder), target)
    show_claims(console, loaded.study, read_verdicts(target, loaded.study.study))
    console.print(f"Report: {page}", soft_wrap=True, highlight=False)


def add_report_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, report, RESULTS, "evolgrid report studies/quickstart.yaml")
