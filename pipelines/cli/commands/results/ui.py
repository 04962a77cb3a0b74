"""`evolgrid ui`: a page over a store, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.common.options import DEFAULT_STORE
from pipelines.cli.common.registration import RESULTS, add_command

DEFAULT_PORT = 8765


def ui(
    store: Annotated[
        str, typer.Argument(envvar="EVOLGRID_STORE", help="Store of all results: a folder or an fsspec URL.")
    ] = DEFAULT_STORE,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; if it is in use, the next free one is taken.")
    ] = DEFAULT_PORT,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Show a store as a page in a browser, live while a study runs: steps, rows, results, losses, engines, costs.

    The page is served to this machine only, under a secret address, and only reads the store. From another machine,
    forward the port: ssh -L 8765:127.0.0.1:8765 HOST.
    """
    from pipelines.store.store import Store
    from pipelines.ui.server import prepare

    console = Console()
    page = prepare(Store(store), port, lambda text: console.print(text, highlight=False))
    console.print(f"{page.url}\nCtrl-C ends it.", highlight=False, soft_wrap=True, markup=False)
    page.serve(browser)


def add_ui_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, ui, RESULTS, "evolgrid ui", "evolgrid ui s3://bucket/folder --no-browser")
