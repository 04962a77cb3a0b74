"""Ray nodes of a cluster as separate processes on this machine, with separate ports and folders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cluster.connection.auth import ensure_token
from tests.support.ports import free_port

START_SECONDS = 90.0
STORE_BYTES = 100 * 2**20
HEAD = "ray.head.default"  # the simulated provider knows no other name
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
LISTS = (
    *("cluster_synced_files", "initialization_commands", "setup_commands", "head_setup_commands"),
    *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
)


@dataclass
class Nodes:
    """A head node and its workers; `address` is host:port, `dashboard` the job server's URL or "" without one."""

    folder: Path
    address: str
    dashboard: str
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start one node and return its process. Nodes must not start concurrently: they may choose the same port."""
        script, number = str(Path(sys.executable).with_name("ray")), len(self.processes)
        command = [script, "start", "--block", "--disable-usage-stats", f"--object-store-memory={STORE_BYTES}"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]  # by default all nodes use the same port
        with (self.folder / f"node-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        self.processes.append(process)
        self.wait_for(lambda: "Ray runtime started" in self.told(number), number)
        return process

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker node."""
        return self.start(f"--address={self.address}", *options)

    def told(self, number: int) -> str:
        """Return the output of a node."""
        return (self.folder / f"node-{number}.log").read_text(errors="replace")

    def wait_for(self, ready: Callable[[], bool], number: int = 0) -> None:
        """Wait until a condition holds. Raise RuntimeError with the node's output if it exits or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline or self.processes[number].poll() is not None:
                raise RuntimeError(self.told(number))
            time.sleep(0.2)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a node with all its processes."""
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(20)
        psutil.wait_procs(family, timeout=20)

    def close(self) -> None:
        """Kill all nodes, workers first."""
        for process in reversed(self.processes):
            if process.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    self.kill(process)


@contextmanager
def autoscaling(kinds: dict[str, Any], idle_seconds: float) -> Iterator[Nodes]:
    """A head node without CPUs whose autoscaler starts and stops simulated nodes of these types on this machine.

    Ray's own `AutoscalingCluster` would stop every Ray on the machine, and needs a file that its wheel lacks.
    """
    from ray._private.services import get_node_ip_address
    from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

    port = free_port()
    # "external", because for its own type Ray looks for that file
    provider: dict[str, Any] = {"type": "external", "module": PROVIDER, "use_node_id_as_ip": True}
    provider |= {"launch_multiple": True, "disable_node_updaters": True, "disable_launch_config_check": True}
    provider |= {"head_node_id": FAKE_HEAD_NODE_ID, "gcs_address": f"{get_node_ip_address()}:{port}"}
    config = {
        "cluster_name": "simulated",
        "max_workers": 8,
        "upscaling_speed": 10.0,
        "idle_timeout_minutes": idle_seconds / 60,
        "provider": provider,
        "auth": {},
        "available_node_types": {HEAD: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}} | kinds,
        "head_node_type": HEAD,
        **{name: {} for name in ("docker", "file_mounts")},
        **{name: [] for name in LISTS},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        environment = {
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        }
        options = (f"--autoscaling-config={file.name}", "--num-cpus=0")
        with head(*options, port=port, environment=environment) as nodes:
            yield nodes


@contextmanager
def head(
    *options: str,
    dashboard: bool = False,
    path: tuple[Path, ...] = (),
    port: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Nodes]:
    """A head node with token authentication. `path` is the import path of its jobs."""
    ensure_token()
    # Ray creates sockets in this folder, whose paths must be short
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as name:
        port, board = port or free_port(), free_port()
        python = Path(sys.executable).parent
        environment = (
            os.environ
            | (environment or {})
            | {
                "RAY_AUTH_MODE": "token",
                "PATH": f"{python}:{os.environ['PATH']}",
                "PYTHONPATH": ":".join(map(str, path)),
            }
        )
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
            if dashboard:
                nodes.wait_for(lambda: _listens(board))
            yield nodes
        finally:
            nodes.close()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def interrupt(process: subprocess.Popen[str]) -> None:
    """Interrupt the process as Ctrl-C does."""
    process.send_signal(signal.SIGINT)
