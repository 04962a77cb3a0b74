"""The caller's side of a zygote: start it, have tasks run by it within their limits, end it."""

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
_FLAGS = ("-s", "-S", "-P")  # no packages of users and sites, nothing from the current folder
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}  # the same order of sets at every run; small threads
_READY_TIMEOUT = 60.0
_REPLY_TIMEOUT = 10.0
_EXIT_TIMEOUT = 2.0
_MESSAGE_BYTES = 1 << 16


class ZygoteLost(Exception):
    """The zygote died, hangs, or could not put up a wall: nothing is known about the job."""


class Zygote:
    """One zygote process. For one thread at a time."""

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
        """Have the tasks started, each with its pipes (closed here), and killed at the end of the block.

        Gives a list that holds afterwards how each ended. ZygoteLost if anything but the tasks themselves failed.
        """
        self.jobs += 1
        fds = [fd for _, own in tasks for fd in own]
        places = iter(range(len(fds)))
        request = {"tasks": [(task, [next(places) for _ in own]) for task, own in tasks], "limits": asdict(limits)}
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], fds)
        except OSError as error:
            raise ZygoteLost(f"the zygote is gone: {error}") from None
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
        with contextlib.suppress(OSError):  # a dead zygote shows in its answer
            self._control.send(b"k")
        return [ExitStatus(status, cpu) for status, cpu in self._receive(_REPLY_TIMEOUT)["ends"]]

    def _receive_success(self, seconds: float) -> None:
        error = self._receive(seconds)["error"]
        if error:
            raise ZygoteLost(error)

    def _receive(self, seconds: float) -> dict[str, Any]:
        """The next message; only the zygote can send one, no job has this socket."""
        self._control.settimeout(seconds)
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except OSError as error:
            raise ZygoteLost(f"the zygote does not answer: {error}") from None
        if not message:
            raise ZygoteLost("the zygote died")
        return json.loads(message)

    @property
    def pid(self) -> int:
        """The process by which all of it can be killed."""
        return self._process.pid

    def close(self) -> None:
        """Kill it, and with it everything that it started."""
        self._control.close()  # at which it kills its tasks and ends
        try:
            self._process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended, from the kernel: exit code or signal, and the CPU time that it used."""

    status: int
    cpu_seconds: float

    @property
    def signal(self) -> int | None:
        """The signal that ended it, None if it exited."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {os.WEXITSTATUS(self.status)}"
        return signal.Signals(self.signal).name
