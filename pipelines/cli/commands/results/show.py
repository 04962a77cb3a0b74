"""`evolgrid show`: traces a row back to its seed."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.common.options import DEFAULT_STORE, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, add_command


def show(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    row: Annotated[
        str | None, typer.Option(help="Id of a row, or its first digits (default: list some ids to start from).")
    ] = None,
) -> None:
    """Trace a row back to its seed: the prompt, model and reply of every round."""
    from pipelines.cli.views.row import show_chain, show_samples
    from pipelines.results.lineage import Lineage
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded = load_and_check(study, seeds)
    lineage = Lineage(Store(store), build(loaded.study, loaded.folder))
    if row is None:
        show_samples(Console(), lineage)
    else:
        show_chain(Console(), lineage.chain(row), loaded.study.seed)


def add_show_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, show, RESULTS, "evolgrid show studies/quickstart.yaml --row 3f2a91")
