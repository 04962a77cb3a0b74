"""A failure that is not a bug ends a command with one message and what to do; a bug with its traceback."""

from __future__ import annotations

import errno
import os
import re

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, RayTaskError

from pipelines.cli.exit_codes import exit_for
from pipelines.errors import InputError
from pipelines.store.errors import CorruptStore


def of_worker(cause: Exception) -> Exception:
    """As Ray raises what a worker raised."""
    return RayTaskError("work", f"Traceback\n{cause}", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("no"), 2, "no"),
        (of_worker(InputError("no")), 2, "no"),
        (of_worker(CorruptStore("a file is damaged")), 1, "a file is damaged"),
        (NodeDiedError("The node\n died."), 1, "The node died.: finished work is kept, run the same command again"),
        (ActorDiedError(), 1, "run the same command again"),
        (of_worker(ActorDiedError()), 1, "run the same command again"),
        (OSError(errno.EREMOTEIO, "InternalError"), 1, "run the same command again"),
        (of_worker(OSError(errno.ENOSPC, "No space left")), 1, "No space left: fix the cause, then run"),
        (TimeoutError("RequestTimeout"), 1, "RequestTimeout: fix the cause"),
        (TimeoutError(), 1, "the store did not respond: fix the cause"),
        (PermissionError("The provided token has expired."), 1, "has expired.: check .* your credentials"),
        (FileNotFoundError("The specified bucket does not exist"), 1, "check the store's URL, and that its bucket"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "f"), 1, "'f': the store must be a folder"),
    ],
)
def test_what_a_user_can_mend_is_one_message(error: Exception, code: int, told: str) -> None:
    message, found = exit_for(error) or ("", 0)
    assert found == code and "Traceback" not in message and "\n" not in message
    assert re.search(told, message), message


@pytest.mark.parametrize(
    "error",
    [TypeError("x"), of_worker(TypeError("x")), FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "our.md")],
)
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    assert exit_for(error) is None
