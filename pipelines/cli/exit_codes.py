"""How a command ends after a failure that is not a bug: one message that says what to do, and an exit code."""

from __future__ import annotations

import errno
import sys
from typing import Any

from actors.engine import EngineLost, LoadError
from actors.sandbox.protocol.job import SandboxError
from cluster.errors import ClusterError
from pipelines.cli.options import BAD_INPUT, FAILED
from pipelines.errors import InputError
from pipelines.store.errors import Held, LeaseLost, Spoilt

# what a disk or an object store says that is full, away or overloaded
_NAMES = (
    "ENOSPC EDQUOT EROFS EIO EREMOTEIO EBUSY ETIMEDOUT ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ENETUNREACH "
    "EHOSTUNREACH ENETDOWN EHOSTDOWN"
)
STORAGE = {getattr(errno, name) for name in _NAMES.split() if hasattr(errno, name)}
AGAIN = "run the same command again to continue"


def ending(error: BaseException) -> tuple[str, int] | None:
    """The message and the exit code for a failure; None for one that nobody foresaw: its traceback is the message."""
    rays: Any = sys.modules.get("ray.exceptions")  # without Ray, no error is Ray's
    while rays and isinstance(error, rays.RayTaskError):
        error = getattr(error, "cause", None) or RuntimeError(error)
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    if isinstance(error, ClusterError | LoadError | EngineLost | SandboxError | Held | LeaseLost | Spoilt):
        return str(error), FAILED
    if isinstance(error, OSError):
        return (told, FAILED) if (told := _storage(error)) else None
    if rays and isinstance(error, rays.RayError):
        return f"Ray lost a part of the run: {_line(error)}: what was finished is kept, {AGAIN}", FAILED
    return None


def _storage(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{_line(error)}: check that you may read and write there (on an object store, your credentials)"
    if isinstance(error, NotADirectoryError):
        return f"{_line(error)}: a store is a folder, or a URL of one; give another --store"
    if isinstance(error, FileNotFoundError) and error.errno is None:  # as object stores say it
        return f"{_line(error)}: check the store's URL, and that its bucket exists"
    if isinstance(error, TimeoutError) or error.errno in STORAGE:
        return f"{_line(error) or 'the store did not answer'}: once that is mended, {AGAIN}"
    return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
