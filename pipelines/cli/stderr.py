"""Libraries write past Python, straight to descriptor 2: on a terminal that breaks the progress bars."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def redirect_stderr() -> Generator[Path]:
    """Send what native code and Ray's loggers write to standard error into a file; yields its path.

    `sys.stderr` still reaches the terminal: tracebacks and our own messages go there.
    """
    path = Path(tempfile.gettempdir()) / f"evolgrid-{os.getpid()}.log"
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
