"""Redirects file descriptor 2. Native libraries write to it directly, which breaks progress bars on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipelines.errors import details_file


@contextmanager
def redirect_stderr() -> Generator[Path]:
    """Redirect what native code and Ray's loggers write to standard error to a file, and yield the file's path.

    `sys.stderr` still writes to the terminal, so that tracebacks and evolgrid's messages appear there.
    """
    path = details_file()
    terminal = os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        with _python_errors_to(terminal):
            yield path
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _python_errors_to(terminal: int) -> Generator[None]:
    """Let `sys.stderr` write to a copy of a file descriptor, unless it has another one than 2, as in a notebook."""
    before = sys.stderr
    if not _writes_to_descriptor_2(before):
        yield
        return
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


def _writes_to_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError, AttributeError):  # it has no descriptor, or is closed
        return False
