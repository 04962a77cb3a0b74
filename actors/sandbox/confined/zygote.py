"""The process from which jobs are forked. It keeps Python loaded, and never executes or stores untrusted code.

It serves one request at a time over a socket. A request contains the tasks to start, their limits, and the pipes that
connect each task to the caller or to another task. A task's source and results go through these pipes. They never reach
the zygote's memory, where a later job could find them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from itertools import pairwise
from typing import Any

from actors.sandbox.confined.child import run_request
from actors.sandbox.confined.confine import Confinement, confine
from actors.sandbox.confined.kernel import PR_SET_PDEATHSIG, clone, prctl
from actors.sandbox.confined.prepare import prepare
from actors.sandbox.protocol.job import Limits

MESSAGE_BYTES = 1 << 16


def main(control_fd: int, layers: list[str], required: list[str]) -> None:
    """Serve requests until the other side closes the socket."""
    control = socket.socket(fileno=control_fd)
    try:
        confinement = prepare(frozenset(layers))
    except Exception as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return
    control.send(json.dumps({"error": ""}).encode())
    gc.collect()
    gc.freeze()
    while serve_request(control, confinement, frozenset(required)):
        pass


def serve_request(control: socket.socket, confinement: Confinement, required: frozenset[str]) -> bool:
    """Start the tasks of one request, report whether they are confined, and kill them at the next message.

    Returns False if the other side has closed the socket.
    """
    message, fds, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 16)
    if not message:
        return False
    request = json.loads(message)
    pids: list[int] = []
    error = ""
    try:
        for task, positions in request["tasks"]:
            pid, layers_in_force = start_task(
                task, [fds[place] for place in positions], confinement, Limits(**request["limits"])
            )
            pids.append(pid)
            if missing := required - layers_in_force:
                raise OSError(f"not in force: {', '.join(sorted(missing))}")
    except OSError as failure:
        error = str(failure)
    for fd in fds:
        os.close(fd)
    control.send(json.dumps({"error": error}).encode())
    control.recv(1)
    control.send(json.dumps({"ends": [kill_task(pid, confinement) for pid in pids]}).encode())
    return True


def start_task(task: str, fds: list[int], confinement: Confinement, limits: Limits) -> tuple[int, frozenset[str]]:
    """Fork one task and wait until it is confined. Return its process id and the layers in force."""
    theirs, ours = os.pipe()
    pid = clone(confinement.clone_flags)
    if pid == 0:
        run_task(task, fds, confinement, limits, ours)
    os.close(ours)
    with os.fdopen(theirs, "rb") as file:
        report = file.read()
    report_fields = json.loads(report or b'{"error": "a process exited while it was being confined"}')
    if "error" in report_fields:
        kill_task(pid, confinement)
        raise OSError(report_fields["error"])
    return pid, frozenset(report_fields["layers"])


def run_task(task: str, fds: list[int], confinement: Confinement, limits: Limits, report: int) -> None:
    """Run a task in the forked process: confine it, report the layers in force, do the task, and exit."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        close_all_but({0, 1, 2, report, *fds})
        report_fields: dict[str, Any] = {"layers": confine(confinement, limits)}
    except BaseException as error:
        report_fields = {"error": f"{type(error).__name__}: {error}"}
    os.write(report, json.dumps(report_fields).encode())
    os.close(report)  # before any untrusted code runs
    if "layers" in report_fields:
        try:
            run_request(task, fds)
        except BaseException:
            os._exit(1)
    os._exit(0)


def close_all_but(kept: set[int]) -> None:
    """Close all other file descriptors of this process, in particular the zygote's own socket."""
    for low, high in pairwise([-1, *sorted(kept), 1 << 30]):
        if low + 1 < high:  # an empty range would close all descriptors
            os.closerange(low + 1, high)


def kill_task(pid: int, confinement: Confinement) -> tuple[int, float]:
    """Kill a job and everything that it started. Return its wait status and its CPU seconds."""
    if "pid" not in confinement.layers:
        _kill(os.killpg, pid)
    _kill(os.kill, pid)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_utime + usage.ru_stime


def _kill(kill: Any, pid: int) -> None:
    try:
        kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
