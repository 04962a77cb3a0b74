"""`evolgrid push`: publishes a study's data sets, report and students on the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.rule import Rule

from pipelines.cli.common.options import DEFAULT_STORE, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, add_command

if TYPE_CHECKING:
    from pipelines.results.hub.repositories import Repository

_KINDS = {"dataset": "data set", "model": "model"}
_MOST_LISTED = 20  # files of a repository


def push(
    study: StudyFile,
    to: Annotated[
        str, typer.Option("--to", help="Name of the data set on the hub, ORG/NAME; students are ORG/NAME-STUDENT.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Push. Without it, only show what would be pushed.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Create public repositories (default: private).")] = False,
    student: Annotated[
        list[str] | None,
        typer.Option(
            help="Push only students whose names match this pattern, such as '*-lora-*' (may be repeated).",
            show_default=False,
        ),
    ] = None,
    no_students: Annotated[bool, typer.Option("--no-students", help="Push only the data set and the report.")] = False,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
) -> None:
    """Push data sets, students and the report to the Hugging Face hub.

    Without --yes, nothing is sent: the repositories, their files and their cards are shown. An interrupted push is
    continued by the same command. The token is that of HF_TOKEN or 'hf auth login'.
    """
    from huggingface_hub import constants

    from pipelines.results.hub.names import check_target
    from pipelines.results.hub.push import check_access
    from pipelines.results.hub.push import push as push_one
    from pipelines.results.hub.repositories import Publication
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    target, console = check_target(to), Console(highlight=False)
    token = check_access() if yes else ""
    loaded, grid_store = load_and_check(study, seeds), Store(store)
    grid = build(loaded.study, loaded.folder)
    patterns = () if no_students else tuple(student or ("*",))
    what = Publication(grid_store, loaded, grid, target, constants.ENDPOINT, patterns)
    if left := len(grid.steps.keys() - grid_store.finished_keys()):
        console.print(f"{left} of {len(grid.steps)} steps are not finished: what is finished is shown or pushed.")
    with tempfile.TemporaryDirectory(prefix="evolgrid-push-") as folder:
        repositories = what.prepare(Path(folder))
        _show(console, repositories, "public" if public else "private")
        if not yes:
            _show_cards(console, repositories)
            console.print(f"Nothing was pushed. To push: the same command with [bold]--yes[/bold] to {target}.")
            return
        for number, repository in enumerate(repositories, 1):
            url = push_one(repository, token, public, loaded.study.study)
            console.print(f"pushed {number} of {len(repositories)}: {url}", soft_wrap=True)


def _show(console: Console, repositories: Iterable[Repository], visibility: str) -> None:
    for repository in repositories:
        kind = _KINDS[repository.kind]
        console.print(f"[bold]{repository.name}[/bold] ({visibility} {kind}, {_size(repository.size)})", soft_wrap=True)
        for file in repository.files[:_MOST_LISTED]:
            console.print(f"  {_size(file.size):>9}  {file.path}", soft_wrap=True)
        if more := repository.files[_MOST_LISTED:]:
            console.print(f"  {_size(sum(file.size for file in more)):>9}  in {len(more)} more files")


def _show_cards(console: Console, repositories: Iterable[Repository]) -> None:
    """Print the card of the data set and that of the first student, which is like those of the others."""
    shown: set[str] = set()
    for repository in repositories:
        if repository.kind not in shown:
            shown.add(repository.kind)
            console.print(Rule(f"{repository.name}/README.md", align="left"))
            console.print(repository.card, markup=False, soft_wrap=True)
    console.print(Rule())


def _size(count: int) -> str:
    """Return a number of bytes for display, in decimal units as on the hub."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1000 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def add_push_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    example = "evolgrid push studies/quickstart.yaml --to my-org/quickstart"
    add_command(app, push, RESULTS, example, f"{example} --student '*-lora-*' --yes")
