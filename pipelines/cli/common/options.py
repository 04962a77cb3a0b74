"""Arguments, options and exit codes that several commands share, and how they load a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.api.loading import DEFAULT_STORE as DEFAULT_STORE
from pipelines.api.loading import load_and_check as load_and_check

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_BAD_INPUT = 2
EXIT_FAILED = 1
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
Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster to connect to, as host:port or 'auto' (default: start a local one)."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask the failed rows of finished steps again, and only those.")
]
SeedFile = Annotated[
    Path | None,
    typer.Option("--seeds", help="Read this seed file instead of the one that the study names."),
]
