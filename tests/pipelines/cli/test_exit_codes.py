"""A failure ends a command with one line: what to do, or where the traceback of an unexpected error is."""

from __future__ import annotations

import errno
import os
import pickle
import re
import tempfile
from pathlib import Path

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, RayTaskError

from actors.engine import LoadError
from cluster.errors import add_context
from pipelines.api.errors import expected_message
from pipelines.cli.common.exit_codes import message_and_code
from pipelines.errors import InputError, details_file
from pipelines.store.errors import CorruptStore


@pytest.fixture(autouse=True)
def details_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def of_worker(cause: Exception) -> Exception:
    """As Ray raises what a worker raised."""
    return RayTaskError("work", f"Traceback\n{cause}", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("no"), 2, "no"),
        (of_worker(InputError("no")), 2, "no"),
        (of_worker(CorruptStore("a file is damaged")), 1, "a file is damaged"),
        (NodeDiedError("The node\n died."), 1, "The node died.: finished work is kept, run the study again"),
        (ActorDiedError(), 1, "run the study again"),
        (of_worker(ActorDiedError()), 1, "run the study again"),
        (OSError(errno.EREMOTEIO, "InternalError"), 1, "run the study again"),
        (of_worker(OSError(errno.ENOSPC, "No space left")), 1, "No space left: fix the cause, then run"),
        (TimeoutError("RequestTimeout"), 1, "RequestTimeout: fix the cause"),
        (TimeoutError(), 1, "the store did not respond: fix the cause"),
        (PermissionError("The provided token has expired."), 1, "has expired.: check .* your credentials"),
        (FileNotFoundError("The specified bucket does not exist"), 1, "check the store's URL, and that its bucket"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "f"), 1, "'f': the store must be a folder"),
    ],
)
def test_what_a_user_can_mend_is_one_message(error: Exception, code: int, told: str) -> None:
    message, found = message_and_code(error)
    assert found == code and "Traceback" not in message and "\n" not in message
    assert re.search(told, message), message


@pytest.mark.parametrize(
    "error",
    [TypeError("x"), of_worker(TypeError("x")), FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "our.md")],
)
def test_a_bug_is_one_line_and_its_traceback_is_in_a_file(error: Exception) -> None:
    assert expected_message(error) is None
    message, code = message_and_code(error)
    assert code == 1 and "\n" not in message and message.startswith("Unexpected error: ")
    assert f"details: {details_file()}" in message
    assert "TypeError: x" in details_file().read_text() or str(error) in details_file().read_text()


def test_an_error_says_where_it_was_raised() -> None:
    try:
        raise ValueError("first line\n" + "and many more\n" * 100)
    except ValueError as error:
        add_context(error, "model m, request r1")
        sent = pickle.loads(pickle.dumps(error))  # as another process receives it
    sent.add_note("respond step 12345678, row 87654321")
    message, _ = message_and_code(ExceptionGroup("rows", [of_worker(sent)]))
    start = (
        "Unexpected error: respond step 12345678, row 87654321, model m, request r1: ValueError: first line and many"
    )
    assert message.startswith(start) and len(message) < 600
    assert "in test_an_error_says_where_it_was_raised" in details_file().read_text()


def test_an_expected_error_with_a_traceback_names_its_file_too() -> None:
    failure = LoadError("m", "RuntimeError: broken")
    failure.add_note("Traceback of another process\n  line 1")
    message, _ = message_and_code(failure)
    assert message.startswith("model m cannot be loaded: RuntimeError: broken (details: ")
    assert "Traceback of another process" in details_file().read_text()


def test_the_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EVOLGRID_DEBUG", "1")
    message_and_code(TypeError("x"))
    assert "TypeError: x" in capsys.readouterr().err
