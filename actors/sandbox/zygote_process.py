"""The caller's side of a zygote: starts it, runs tasks in it within their limits, and stops it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actors.sandbox.protocol.job import Limits

_ROOT = Path(__file__).parents[2]
_BOOTSTRAP_CODE = """
import sys
sys.path.append({root!r})
from actors.sandbox.confined.zygote import main
sys.path.pop()
main({fd}, {layers}, {required})
"""
_FLAGS = ("-s", "-S", "-P")  # no user or site packages, no imports from the current folder
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}  # the same order of sets in every run; small threads
_READY_TIMEOUT = 60.0
_REPLY_TIMEOUT = 10.0
_EXIT_TIMEOUT = 2.0
_MESSAGE_BYTES = 1 << 16


class ZygoteLost(Exception):
    """The zygote has crashed, hangs, or could not install a layer. It says nothing about the job."""


class Zygote:
    """One zygote process. Not thread-safe."""

    def __init__(self, layers: Sequence[str], required: Sequence[str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = _BOOTSTRAP_CODE.format(root=str(_ROOT), fd=theirs.fileno(), layers=layers, required=required)
        command = [sys.executable, *_FLAGS, "-c", code]
        with theirs:
            self._process = subprocess.Popen(
                command,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        self.jobs = 0
        try:
            self._receive_success(_READY_TIMEOUT)
        except ZygoteLost:
            self.close()
            raise

    @contextlib.contextmanager
    def running(self, tasks: list[tuple[str, list[int]]], limits: Limits) -> Generator[list[ExitStatus]]:
        """Run tasks for the length of a `with` block, and kill them at its end.

        Args:
            tasks: Pairs of a task's name and the file descriptors of its pipes, which are closed here.
            limits: The limits of each task.

        Yields:
            A list that is filled at the end of the block, with the exit status of each task in order.

        Raises:
            ZygoteLost: The sandbox itself failed.
        """
        self.jobs += 1
        fds = [fd for _, own in tasks for fd in own]
        places = iter(range(len(fds)))
        request = {"tasks": [(task, [next(places) for _ in own]) for task, own in tasks], "limits": asdict(limits)}
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], fds)
        except OSError as error:
            raise ZygoteLost(f"the zygote has exited: {error}") from None
        finally:
            for fd in fds:
                os.close(fd)
        statuses: list[ExitStatus] = []
        try:
            self._receive_success(_REPLY_TIMEOUT)
            yield statuses
        finally:
            statuses += self._kill_tasks()

    def _kill_tasks(self) -> list[ExitStatus]:
        with contextlib.suppress(OSError):  # if the zygote has crashed, `_receive` notices
            self._control.send(b"k")
        return [ExitStatus(status, cpu) for status, cpu in self._receive(_REPLY_TIMEOUT)["ends"]]

    def _receive_success(self, seconds: float) -> None:
        error = self._receive(seconds)["error"]
        if error:
            raise ZygoteLost(error)

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message. It can be trusted: only the zygote has this socket, no job does."""
        self._control.settimeout(seconds)
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except OSError as error:
            raise ZygoteLost(f"the zygote does not answer: {error}") from None
        if not message:
            raise ZygoteLost("the zygote has crashed")
        return json.loads(message)

    @property
    def pid(self) -> int:
        """The zygote's process id. Killing this process kills everything that the zygote started."""
        return self._process.pid

    def close(self) -> None:
        """Stop the zygote and everything that it started."""
        self._control.close()  # makes the zygote kill its tasks and exit
        try:
            self._process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class ExitStatus:
    """A process's wait status (exit code or signal) and its CPU time, as reported by the kernel."""

    status: int
    cpu_seconds: float

    @property
    def signal(self) -> int | None:
        """The signal that killed the process, or None if it exited."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {os.WEXITSTATUS(self.status)}"
        return signal.Signals(self.signal).name
