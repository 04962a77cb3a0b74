"""What users read of an error: one message that says what to do, with the traceback of a bug in a file."""

from __future__ import annotations

import errno
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from cluster.errors import EvolgridError
from pipelines.errors import unexpected, with_details
from pipelines.study.plugins.active import plugin_error

# errors of a disk or an object store that is full, unreachable or overloaded
_ERRNO_NAMES = (
    "ENOSPC EDQUOT EROFS EIO EREMOTEIO EBUSY ETIMEDOUT ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ENETUNREACH "
    "EHOSTUNREACH ENETDOWN EHOSTDOWN"
)
STORAGE_ERRNOS = {getattr(errno, name) for name in _ERRNO_NAMES.split() if hasattr(errno, name)}
RERUN_HINT = "run the study again to continue"


class RunError(EvolgridError):
    """The disk, the object store, Ray, a plug-in or evolgrid itself has failed. Finished work is kept."""


@contextmanager
def public_errors() -> Generator[None]:
    """Let only EvolgridErrors leave the block. Any other error becomes the cause of a RunError.

    Raises:
        EvolgridError: For any error.
    """
    try:
        yield
    except Exception as error:
        found = without_ray(error)
        if isinstance(found, EvolgridError):
            raise found from None if found is not error else error.__cause__
        message = failure_message(error)
        raise RunError(message) from error


def expected_message(error: BaseException) -> str | None:
    """Return the message of an expected error, or None for a bug, whose traceback is needed."""
    error = without_ray(error)
    ray_errors: Any = sys.modules.get("ray.exceptions")
    if isinstance(error, EvolgridError):
        return str(error)
    if isinstance(error, OSError):
        return _storage_hint(error) or None
    if ray_errors and isinstance(error, ray_errors.RayError):
        return f"Ray lost a process or a node of the run: {_one_line(error)}: finished work is kept, {RERUN_HINT}"
    return None


def failure_message(error: BaseException) -> str:
    """Return one line for any error. What the line leaves out is in the file that it names."""
    expected = expected_message(error)
    if expected is not None:
        return with_details(expected, error) if getattr(error, "__notes__", []) else expected
    if told := plugin_error(_unwrap(error)):
        return with_details(told, error)
    return with_details(f"Unexpected error: {unexpected(_unwrap(error))}", error)


def without_ray(error: BaseException) -> BaseException:
    """Return the error that a remote call has raised, without Ray's error around it."""
    ray_errors: Any = sys.modules.get("ray.exceptions")  # without Ray, no error is Ray's
    while ray_errors and isinstance(error, ray_errors.RayTaskError):
        error = getattr(error, "cause", None) or RuntimeError(error)
    return error


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
        return f"{_one_line(error)}: the store must be a folder or the URL of one; give another store"
    if isinstance(error, FileNotFoundError) and error.errno is None:  # object stores raise it without an errno
        return f"{_one_line(error)}: check the store's URL, and that its bucket exists"
    if isinstance(error, TimeoutError) or error.errno in STORAGE_ERRNOS:
        return f"{_one_line(error) or 'the store did not respond'}: fix the cause, then {RERUN_HINT}"
    return ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
