"""Redirects file descriptor 2. Native libraries write to it directly, which breaks progress bars on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import details_file


@contextmanager
def redirect_stderr() -> Generator[Path]:
    """Redirect what native code and Ray's loggers write to standard error to a file, and yield the file's path.

    `sys.stderr` still writes to the terminal, so that tracebacks and evolgrid's messages appear there.
    """
    path = details_file()
    terminal = os.dup(2)
    before = sys.stderr
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1)
    try:
        yield path
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr.close()
        sys.stderr = before
