"""A preemption notice of a cloud is detected, and the node is drained."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster.notice import aws_notice, gcp_notice
from tests.cluster.connection.nodes import head

ROOT = Path(__file__).parents[2]


class Metadata(BaseHTTPRequestHandler):
    """The metadata services of both clouds. The notice appears once `going` is set."""

    going = False

    def do_PUT(self) -> None:
        self._say("secret" if "X-aws-ec2-metadata-token-ttl-seconds" in self.headers else None)

    def do_GET(self) -> None:
        if self.path == "/instance/preempted":
            self._say("TRUE" if self.going else "FALSE" if self.headers["Metadata-Flavor"] == "Google" else None)
        else:
            asked = self.headers["X-aws-ec2-metadata-token"] == "secret" and self.path.endswith("/spot/instance-action")
            self._say('{"action": "terminate"}' if asked and self.going else None)

    def _say(self, text: str | None) -> None:
        self.send_response(200 if text else 404)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_the_notice_of_a_cloud_is_seen_once_it_is_there(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not aws_notice(metadata) and not gcp_notice(metadata)
    monkeypatch.setattr(Metadata, "going", True)
    assert aws_notice(metadata) and gcp_notice(metadata)


def test_where_no_metadata_service_is_nothing_is_noticed() -> None:
    assert not aws_notice("http://127.0.0.1:9") and not gcp_notice("http://127.0.0.1:9")


@pytest.mark.faults
def test_a_machine_that_is_about_to_go_drains_its_node() -> None:
    look = """
import subprocess, sys, ray
from cluster.connection.session import connect
from cluster.resources.draining import draining

@ray.remote(num_cpus=1)
class Busy:  # an idle node would go at once
    def ready(self):
        return True

with connect("auto"):
    busy = Busy.remote()
    ray.get(busy.ready.remote())
    before = draining()
    subprocess.run([sys.executable, "-m", "cluster.notice", "now"], check=True)
    print(before == frozenset(), draining() == {ray.get_runtime_context().get_node_id()})
"""
    with head("--num-cpus=1") as nodes:
        environment = nodes.environment | {"RAY_ADDRESS": nodes.address, "PYTHONPATH": str(ROOT)}
        told = subprocess.check_output([sys.executable, "-c", look], cwd=ROOT, env=environment, text=True, timeout=60)
    assert told.strip() == "True True"
