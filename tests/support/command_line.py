"""The command line in this process: what a user would see, without the seconds that a new interpreter takes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from pipelines.cli.app import main
from pipelines.study.plugins.active import plugin_scope

ROOT = Path(__file__).parents[2]


def evolgrid(*arguments: str | Path, folder: Path = ROOT) -> CompletedProcess[str]:
    """The exit code and both outputs of `evolgrid ARGUMENTS`, run in `folder`."""
    command, code = ["evolgrid", *map(str, arguments)], 0
    with (
        plugin_scope(),  # in a process of its own, a command leaves none
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", command),
        mock.patch.object(os, "_exit", sys.exit),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())
