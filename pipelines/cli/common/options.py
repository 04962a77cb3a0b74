"""Arguments, options and exit codes that several commands share, and how they load a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.study.file.load import LoadedStudy, load

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_BAD_INPUT = 2
EXIT_FAILED = 1
DEFAULT_STORE = "evolgrid-store"
StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML).", show_default=False)]
StoreUrl = Annotated[
    str, typer.Option("--store", envvar="EVOLGRID_STORE", help="Store of all results: a folder or an fsspec URL.")
]
LogFile = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="EVOLGRID_LOG",
        help="Append events to this file, as JSON lines ('store': to a new file in the store).",
        show_default=False,
    ),
]
SeedFile = Annotated[
    Path | None,
    typer.Option("--seeds", help="Read this seed file instead of the one that the study names."),
]


def load_and_check(path: Path, seeds: Path | None, local: bool = False) -> LoadedStudy:
    """Load and check a study; with `local`, also check that this machine can load and run the study's models.

    Raises:
        InputError: The study is invalid, or a file that it names is missing.
    """
    from cluster.resources.inventory import machine
    from pipelines.study.check import check
    from pipelines.study.file.override import with_seed_file

    loaded = load(path)
    if seeds is not None:
        loaded = with_seed_file(loaded, seeds)
    inventory = machine() if local else None
    check(loaded, cpus=inventory.cpus if inventory else None, gpus=inventory.gpus if inventory else None, local=local)
    return loaded
