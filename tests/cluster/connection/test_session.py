"""Real sessions: the shared local Ray, drivers in other processes that join it, and one that is interrupted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import ray
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

import prompts
from cluster.connection import probe
from cluster.connection.session import Session, connect
from cluster.errors import ClusterError

ROOT = Path(prompts.__file__).parents[1]
JOIN = """
import sys
from cluster.errors import ClusterError
from cluster.connection.session import connect
import ray

@ray.remote
def where():
    import prompts
    return prompts.__file__

for address in sys.argv[1:]:
    try:
        with connect(address) as session:
            print(session.local, ray.get(where.remote()))
    except ClusterError as error:
        print("ClusterError:", error)
"""
INTERRUPTED = """
import time
from cluster.connection.session import connect
import ray

@ray.remote
def where():
    import prompts
    return prompts.__file__

with connect(None, cpus=1):
    print(ray.get(where.remote()), flush=True)
    time.sleep(60)
"""

WORKER_THAT_HANGS = """
import os, threading, time
from cluster.connection.session import connect
import ray

@ray.remote
class Worker:
    def pid(self):
        threading.Thread(target=time.sleep, args=(600,)).start()  # Python's exit waits for it
        return os.getpid()

with connect(None, cpus=1):
    worker = Worker.remote()
    print(ray.get(worker.pid.remote()), flush=True)
    del worker
    time.sleep(2)
"""


def driver(folder: Path, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a driver like an installed command: a script, with `folder` as working directory but not on its path."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "driver.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, "bin/driver.py", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def join(folder: Path, *addresses: str, **environment: str) -> str:
    return driver(folder, JOIN, *addresses, **environment).communicate(timeout=150)[0]


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    """A working directory that contains a package with the name of one of evolgrid's packages."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "__init__.py").write_text("")
    return tmp_path


@dataclass
class FakeCluster(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer, gcs_service_pb2_grpc.InternalKVGcsServiceServicer):
    """A server that answers the probe as a cluster does, and requires no token."""

    version: str = ray.__version__

    def CheckAlive(self, request: Any, context: Any) -> Any:
        return gcs_service_pb2.CheckAliveReply(ray_version=self.version)

    def InternalKVGet(self, request: Any, context: Any) -> Any:
        python = ".".join(map(str, sys.version_info[:3]))
        text = f'{{"ray_version": "{self.version}", "python_version": "{python}"}}'
        return gcs_service_pb2.InternalKVGetReply(value=text.encode())


@contextmanager
def serving(cluster: FakeCluster) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(cluster, server)
    gcs_service_pb2_grpc.add_InternalKVGcsServiceServicer_to_server(cluster, server)
    port = server.add_insecure_port("0.0.0.0:0")  # Ray replaces a loopback address by the machine's address
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_local_ray_demands_a_token(ray_local: Session) -> None:
    assert probe.probe(ray_local.address) is True


def test_inner_session_shares_the_connection_and_leaves_it_open(ray_local: Session) -> None:
    with connect(None) as inner:
        assert inner.address == ray_local.address
    assert ray.is_initialized()


def test_connected_process_can_not_join_another_cluster(ray_local: Session) -> None:
    with pytest.raises(ClusterError, match="connected to"), connect("192.0.2.77:6379"):
        pass


def test_joined_cluster_runs_the_drivers_code_and_goes_on_living(ray_local: Session, decoy: Path) -> None:
    local, _, path = join(decoy, ray_local.address).strip().partition(" ")
    assert local == "False"
    assert path.endswith("prompts/__init__.py") and not path.startswith((str(decoy), str(ROOT)))
    assert ray.get(ray.put("alive")) == "alive"


def test_wrong_token_is_told(ray_local: Session, tmp_path: Path) -> None:
    assert "rejects the token" in join(tmp_path, ray_local.address, RAY_AUTH_TOKEN="wrong")


def test_missing_token_is_told(ray_local: Session, tmp_path: Path) -> None:
    assert "none was found" in join(tmp_path, ray_local.address, HOME=str(tmp_path))


def test_cluster_without_authentication_is_refused(tmp_path: Path) -> None:
    with serving(FakeCluster()) as address:
        assert "no token authentication" in join(tmp_path, address)


def test_refused_connection_is_told_at_once() -> None:
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:9 "):
        probe.probe("127.0.0.1:9")


def test_silent_address_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match="no Ray cluster answers"):
            probe.probe(address)


def test_other_version_is_told() -> None:
    with (
        serving(FakeCluster(version="2.9.3")) as address,
        pytest.raises(ClusterError, match=r"Ray: 2\.9\.3"),
    ):
        probe.probe(address)


def test_what_is_no_address_is_told(tmp_path: Path) -> None:
    told = join(tmp_path, "ray://head:10001", "head", "local").splitlines()
    assert len(told) == 3 and all(line.startswith("ClusterError:") for line in told), told


def test_interrupted_local_session_ran_our_code_and_leaves_no_process(decoy: Path) -> None:
    process = driver(decoy, INTERRUPTED)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == prompts.__file__
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=150)
    assert process.returncode != 0
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_worker_that_hangs_does_not_outlive_its_local_session(tmp_path: Path) -> None:
    said, _ = driver(tmp_path, WORKER_THAT_HANGS).communicate(timeout=150)
    assert not psutil.pid_exists(int(said))


@pytest.mark.usefixtures("ray_local")
def test_a_local_ray_opens_no_dashboard() -> None:
    assert not ray._private.worker.global_worker.node.address_info["webui_url"]
