"""`evolgrid predict`: which metrics of a data set predict the performance of students."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console

from pipelines.cli.common.options import DEFAULT_STORE, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, add_command


def predict(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    over: Annotated[
        Literal["teacher", "evolver", "round", "decoding", "all"] | None,
        typer.Option(
            help="Compare data sets that differ in this only; all: all sets of the same seeds (default: teacher if "
            "the study has at least 4, else all).",
        ),
    ] = None,
) -> None:
    """Show which metrics of a data set predict the performance of students trained on it (Spearman's rho)."""
    from pipelines.cli.views.grid_models import show_grid_models
    from pipelines.cli.views.predictions import show_predictions
    from pipelines.results.predict.grid_model import fit_grids
    from pipelines.results.predict.study import (
        compare_teacher_sizes,
        predict_from_metrics,
        teachers_without_family,
    )
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded, target = load_and_check(study, seeds), Store(store)
    grid = build(loaded.study, loaded.folder)
    where = (loaded.study, loaded.folder, grid, target)
    found = predict_from_metrics(*where, over)
    console = Console()
    show_predictions(console, found, compare_teacher_sizes(*where), teachers_without_family(*where[:2]))
    show_grid_models(console, fit_grids(*where, over))


def add_predict_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, predict, RESULTS, "evolgrid predict studies/quickstart.yaml")
