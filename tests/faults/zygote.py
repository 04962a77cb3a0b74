"""Starts drivers by forking, so that hundreds of them do not import all modules again.

Commands are lines of JSON on standard input: arguments, environment and the output file. The zygote prints `PID` for
each driver that it starts, and `PID CODE` for each that has exited.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from cluster import fault_points as points
from pipelines.execution.steps import autoif, contamination, diversity
from pipelines.execution.steps import selection as selections
from pipelines.execution.training import run as students
from tests.faults import driver

LOADED = (autoif, contamination, diversity, selections, students)  # what a run imports at its start
POLL_SECONDS = 0.02


def main() -> None:
    """Serve until standard input is closed."""
    while True:
        ready, _, _ = select.select([0], [], [], POLL_SECONDS)
        if ready:
            line = sys.stdin.readline()
            if not line:
                return
            start(**json.loads(line))
        reap()


def start(arguments: list[str], environment: dict[str, str], output: str) -> None:
    """Fork, and run the driver in the child."""
    if pid := os.fork():
        print(pid, flush=True)
        return
    code = 1
    try:
        become(arguments, environment, output)
        driver.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(arguments: list[str], environment: dict[str, Any], output: str) -> None:
    """Set arguments, environment and output of this child process."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(0)
    os.environ.update(environment)
    sys.argv = ["evolgrid", *arguments]
    importlib.reload(points)


def reap() -> None:
    """Report the drivers that have exited."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        print(pid, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
