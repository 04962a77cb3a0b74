"""Maps expected errors, those that are not bugs, to one message that says what to do, and to an exit code."""

from __future__ import annotations

import errno
import sys
from typing import Any

from actors.engine import EngineLost, LoadError
from actors.sandbox.protocol.job import SandboxError
from cluster.errors import ClusterError
from pipelines.cli.common.options import EXIT_BAD_INPUT, EXIT_FAILED
from pipelines.errors import BudgetSpent, InputError, StepFailed, unexpected, with_details
from pipelines.store.errors import CorruptStore, LeaseLost, StudyLocked
from pipelines.study.plugins.active import plugin_error

# errors of a disk or an object store that is full, unreachable or overloaded
_ERRNO_NAMES = (
    "ENOSPC EDQUOT EROFS EIO EREMOTEIO EBUSY ETIMEDOUT ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ENETUNREACH "
    "EHOSTUNREACH ENETDOWN EHOSTDOWN"
)
STORAGE_ERRNOS = {getattr(errno, name) for name in _ERRNO_NAMES.split() if hasattr(errno, name)}
RERUN_HINT = "run the same command again to continue"


def exit_for(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit code for an expected error, or None for any other, whose traceback is needed."""
    ray_errors: Any = sys.modules.get("ray.exceptions")  # without Ray, no error is Ray's
    while ray_errors and isinstance(error, ray_errors.RayTaskError):
        error = getattr(error, "cause", None) or RuntimeError(error)
    if isinstance(error, InputError):
        return str(error), EXIT_BAD_INPUT
    if isinstance(
        error,
        BudgetSpent
        | StepFailed
        | ClusterError
        | LoadError
        | EngineLost
        | SandboxError
        | StudyLocked
        | LeaseLost
        | CorruptStore,
    ):
        return str(error), EXIT_FAILED
    if isinstance(error, OSError):
        return (hint, EXIT_FAILED) if (hint := _storage_hint(error)) else None
    if ray_errors and isinstance(error, ray_errors.RayError):
        message = f"Ray lost a process or a node of the run: {_one_line(error)}"
        return f"{message}: finished work is kept, {RERUN_HINT}", EXIT_FAILED
    return None


def failure_message(error: BaseException) -> tuple[str, int]:
    """Return one line for any error, and the exit code. What the line leaves out is in the file that it names."""
    expected = exit_for(error)
    if expected is None and (told := plugin_error(_unwrap(error))):
        return with_details(told, error), EXIT_FAILED
    if expected is None:
        return with_details(f"Unexpected error: {unexpected(_unwrap(error))}", error), EXIT_FAILED
    return expected if not getattr(error, "__notes__", []) else (with_details(expected[0], error), expected[1])


def _unwrap(error: BaseException) -> BaseException:
    """Return the error that a remote call or a group of tasks has raised, without what wraps it."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else getattr(error, "cause", None)
        if not isinstance(inner, BaseException) or inner is error:
            return error
        error = inner


def _storage_hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{_one_line(error)}: check that you have read and write access (to an object store: your credentials)"
    if isinstance(error, NotADirectoryError):
        return f"{_one_line(error)}: the store must be a folder or the URL of one; pass another --store"
    if isinstance(error, FileNotFoundError) and error.errno is None:  # object stores raise it without an errno
        return f"{_one_line(error)}: check the store's URL, and that its bucket exists"
    if isinstance(error, TimeoutError) or error.errno in STORAGE_ERRNOS:
        return f"{_one_line(error) or 'the store did not respond'}: fix the cause, then {RERUN_HINT}"
    return ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
