"""Ray nodes of a cluster as processes of their own on this machine, with own ports and an own folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.auth import ensure_token

START_SECONDS = 90.0
STORE_BYTES = 100 * 2**20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class Nodes:
    """A head and its workers; `address` is host:port, `dashboard` the job server's URL or "" without one."""

    folder: Path
    address: str
    dashboard: str
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start one node; it lives as long as its process."""
        script = str(Path(sys.executable).with_name("ray"))
        command = [script, "start", "--block", "--disable-usage-stats", f"--object-store-memory={STORE_BYTES}"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]  # by default all nodes want the same
        with (self.folder / f"node-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        self.processes.append(process)
        return process

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.start(f"--address={self.address}", *options)

    def told(self, number: int) -> str:
        """What a node has printed."""
        return (self.folder / f"node-{number}.log").read_text(errors="replace")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a node with all its processes, without warning."""
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(20)
        psutil.wait_procs(family, timeout=20)

    def close(self) -> None:
        """End all nodes, workers first."""
        for process in reversed(self.processes):
            if process.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    self.kill(process)


@contextmanager
def head(*options: str, dashboard: bool = False, path: tuple[Path, ...] = ()) -> Iterator[Nodes]:
    """A head with token authentication; `path` is what its jobs import from."""
    ensure_token()
    # Ray's sockets lie in its folder, and their names must be short
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as name:
        port, board = free_port(), free_port()
        python = Path(sys.executable).parent
        environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "PATH": f"{python}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(map(str, path)),
        }
        url = f"http://127.0.0.1:{board}" if dashboard else ""
        nodes = Nodes(Path(name), f"127.0.0.1:{port}", url, environment)
        try:
            nodes.start(
                "--head",
                f"--port={port}",
                f"--temp-dir={name}",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={board}",
                f"--include-dashboard={str(dashboard).lower()}",
                f"--ray-client-server-port={free_port()}",
                *options,
            )
            _wait(lambda: "Ray runtime started" in nodes.told(0), nodes)
            if dashboard:
                _wait(lambda: _listens(board), nodes)
            yield nodes
        finally:
            nodes.close()


def _wait(ready: Callable[[], bool], nodes: Nodes) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline or nodes.processes[0].poll() is not None:
            raise RuntimeError(nodes.told(0))
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def interrupt(process: subprocess.Popen[str]) -> None:
    """What Ctrl-C does."""
    process.send_signal(signal.SIGINT)
