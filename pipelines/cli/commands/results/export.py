"""`evolgrid export`: writes a study's data sets and students as files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.plural import plural
from pipelines.cli.common.options import DEFAULT_STORE, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, add_command
from pipelines.results.export import Format


def export(
    study: StudyFile,
    folder: Annotated[Path, typer.Argument(help="Output folder (created if missing).", show_default=False)],
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the instruction-response pairs.")] = "alpaca",
    students: Annotated[
        bool, typer.Option("--students", help="Also export the trained students, with their weights.")
    ] = False,
) -> None:
    """Export every finished data set for other tools (datasets, LLaMA-Factory, TRL).

    Sets made by AutoIF are also exported as preference pairs.
    """
    from pipelines.results.export.datasets import export_sets
    from pipelines.results.export.students import export_students
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded, target, console = load_and_check(study, seeds), Store(store), Console()
    grid = build(loaded.study, loaded.folder)
    for file in (files := export_sets(target, loaded.study, grid, folder, form, home=loaded.folder)):
        console.print(f"{file.path}: {plural(file.rows, 'row')}", soft_wrap=True, highlight=False)
    for path in export_students(target, loaded, grid, folder) if students else ():
        console.print(f"{path}: student model", soft_wrap=True, highlight=False)
    if not files:
        console.print("No data set of this study is finished yet: run the study first.")


def add_export_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, export, RESULTS, "evolgrid export studies/three_methods.yaml data --format messages --students")
