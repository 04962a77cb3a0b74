"""Finds out why vLLM failed to start: its processes write the cause to stderr only."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from actors.engine import LoadError

KEPT_LINES = 200
CLOSE_TIMEOUT = 5.0  # seconds for processes that failed to start to exit
NO_CAUSE = "See root cause above"  # in vLLM's error when one of its processes fails to start
# the last line of a traceback; it may follow "(EngineCore pid=7) ERROR 11-29 16:20:29 [core.py:1510] "
ERROR_LINE = re.compile(r"(?:^|\] |\) )(?:\w+\.)*(?P<error>\w*Error(?:: .*\S)?)\s*$")


@contextmanager
def explained_failure(model: str) -> Generator[None]:
    """Replace vLLM's error by the cause, which the processes that the block started wrote to stderr.

    Raises:
        LoadError: A process failed to start. The detail is the cause, and the note is the end of the output.
    """
    output = _Output()
    try:
        with output.recorded():
            yield
    except RuntimeError as error:
        lines = output.lines() if NO_CAUSE in str(error) else []
        cause = failure_cause(lines)
        if not cause:
            raise
        explained = LoadError(model, cause)
        explained.add_note("\n".join(lines))
        raise explained from error


def failure_cause(lines: Sequence[str]) -> str:
    """Return the last error of these lines, such as "ValueError: too large"; empty if there is none."""
    return next((match["error"] for line in reversed(lines) if (match := ERROR_LINE.search(line))), "")


class _Output:
    """The last lines that this process and its children write to stderr, where they still arrive."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._thread: threading.Thread | None = None

    @contextmanager
    def recorded(self) -> Generator[None]:
        """Record during the block, and the output of children that it starts until they exit."""
        read_end, write_end = os.pipe()
        stderr = os.dup(2)
        copier = threading.Thread(target=self._copy, args=(read_end, os.dup(2)), daemon=True, name="vllm-stderr")
        copier.start()
        self._thread = copier
        _replace_stderr(write_end)
        try:
            yield
        finally:
            _replace_stderr(stderr)

    def lines(self) -> list[str]:
        """Wait up to `CLOSE_TIMEOUT` seconds until all children have exited, and return the last lines."""
        if self._thread:
            self._thread.join(CLOSE_TIMEOUT)
        return list(self._lines)

    def _copy(self, read_end: int, stderr: int) -> None:
        with os.fdopen(read_end, "rb") as source, os.fdopen(stderr, "wb", buffering=0) as target:
            for line in source:
                target.write(line)
                self._lines.append(line.decode(errors="replace").rstrip("\n"))


def _replace_stderr(descriptor: int) -> None:
    """Let the file descriptor 2 of this process refer to the file of `descriptor`, and close `descriptor`."""
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.close(descriptor)
