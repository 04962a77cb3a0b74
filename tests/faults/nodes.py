"""Real Ray processes: nodes on separate ports, and the command line as a user calls it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.connection.auth import ensure_token
from tests.faults.rig import ROOT, Rig
from tests.support.ports import free_port

START_SECONDS = 120


class Spawned(subprocess.Popen[str]):
    """A run of the command line in a separate process. Its output is written to a file."""

    def __init__(self, arguments: list[str], environment: dict[str, str], output: Path) -> None:
        self.output = output
        with output.open("w") as file:
            super().__init__(
                [sys.executable, "-m", "pipelines.cli", *arguments],
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | environment,
            )

    def said(self) -> str:
        """Return the output so far."""
        return self.output.read_text()

    def tree(self, *names: str) -> list[psutil.Process]:
        """Return its child processes whose name or command starts with one of `names`."""
        with contextlib.suppress(psutil.Error):
            return [one for one in psutil.Process(self.pid).children(recursive=True) if is_one_of(one, names)]
        return []


def is_one_of(process: psutil.Process, names: tuple[str, ...]) -> bool:
    """Return whether a process's name or command starts with one of `names`."""
    try:
        return process.name().startswith(names) or " ".join(process.cmdline()).startswith(names)
    except psutil.Error:
        return False


@dataclass
class RayRig(Rig):
    """A study that runs on Ray: on a cluster that is started for the run, or the cluster at `address`."""

    address: str = ""

    def begin(self, arguments: list[str], environment: dict[str, str], output: Path) -> Spawned:
        """Start the command line as a user does."""
        address = ["--address", self.address] if self.address else []
        return Spawned([*arguments, *address], environment, output)


@dataclass
class Nodes:
    """A cluster on this machine: a head node without CPUs, and workers that tests add and kill."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="f", dir="/tmp")))
    head: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    port: int = 0

    def begin(self) -> str:
        """Start a head node and return its address."""
        ensure_token()
        self.port = free_port()
        self.head = self._node("--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false")
        return f"127.0.0.1:{self.port}"

    def add(self, cpus: int = 2) -> subprocess.Popen[bytes]:
        """Start a worker node."""
        self.workers.append(self._node(f"--address=127.0.0.1:{self.port}", f"--num-cpus={cpus}"))
        return self.workers[-1]

    def kill(self, node: subprocess.Popen[bytes], *names: str) -> None:
        """Kill a node's processes with these names; without names, the whole node."""
        processes = psutil.Process(node.pid).children(recursive=True)
        for process in processes if not names else [one for one in processes if _is(one, names)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not names:
            node.kill()
            node.wait()

    def end(self) -> None:
        """Kill all remaining processes."""
        for node in [self.head, *self.workers]:
            if node is not None and node.poll() is None:
                self.kill(node)
        mine = [one for one in psutil.process_iter() if _mentions(one, str(self.folder))]
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *arguments]
        mine = {"RAY_AUTH_MODE": "token", "RAY_TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        told = self.folder / f"node-{time.monotonic_ns()}.txt"
        with told.open("w") as file:
            node = subprocess.Popen(
                [*command, "--disable-usage-stats"],
                cwd=self.folder,
                env=os.environ | mine,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        _until(lambda: "Ray runtime started" in told.read_text())
        return node


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    """Yield a cluster, and kill it afterwards."""
    made = Nodes()
    try:
        yield made
    finally:
        made.end()


def _is(process: psutil.Process, names: tuple[str, ...]) -> bool:
    try:
        return process.name() in names
    except psutil.Error:
        return False


def _mentions(process: psutil.Process, text: str) -> bool:
    try:
        return text in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"condition not met after {START_SECONDS} s"
        time.sleep(0.2)
