"""`python -m cluster.notice aws|gcp|now`: wait for a preemption notice, and drain this node.

Clouds announce the preemption of a spot machine (AWS two minutes before, Google half a minute); Kubernetes runs a pod's
`preStop` (`now`). Replicas on a draining node finish their requests, and replacements start on other nodes.
"""

from __future__ import annotations

import argparse
import time
import urllib.request
from collections.abc import Mapping
from urllib.error import HTTPError, URLError

from cluster.connection.session import connect
from cluster.ray_internals import drain_node

NOTICE_POLL_SECONDS = 5.0
METADATA_TIMEOUT = 2.0
AWS = "http://169.254.169.254/latest"
GCP = "http://metadata.google.internal/computeMetadata/v1"
GRACE_SECONDS: Mapping[str, float] = {"aws": 120.0, "gcp": 30.0, "now": 60.0}  # seconds from the notice to the end


def aws_notice(base: str = AWS) -> bool:
    """Return whether EC2 has announced the preemption of this spot instance (instance metadata service, version 2)."""
    token = _fetch_metadata(f"{base}/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    found = _fetch_metadata(f"{base}/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token or ""})
    return found is not None  # EC2 returns 404 without a notice


def gcp_notice(base: str = GCP) -> bool:
    """Return whether Compute Engine has announced the preemption of this spot machine."""
    return _fetch_metadata(f"{base}/instance/preempted", {"Metadata-Flavor": "Google"}) == "TRUE"


def _fetch_metadata(url: str, headers: Mapping[str, str], method: str = "GET") -> str | None:
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=METADATA_TIMEOUT) as answer:
            return answer.read().decode().strip()
    except (HTTPError, URLError, TimeoutError):
        return None


def drain(seconds: float, address: str = "auto") -> None:
    """Drain this machine's node: Ray starts nothing new on it. The node stops in `seconds` seconds.

    Raises:
        RuntimeError: Ray does not accept the request.
        ClusterError: The cluster cannot be joined.
    """
    import ray

    with connect(address):
        ray_context = ray.get_runtime_context()
        end = int((time.time() + seconds) * 1000)
        accepted, why = drain_node(
            ray_context.gcs_address, ray_context.get_node_id(), "the machine is being preempted", end
        )
    if not accepted:
        raise RuntimeError(f"Ray does not drain this node: {why}")


def main() -> None:
    """Wait for the preemption notice, and drain this node."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=list(GRACE_SECONDS))
    source = parser.parse_args().source
    noticed = {"aws": aws_notice, "gcp": gcp_notice, "now": lambda: True}[source]
    while not noticed():
        time.sleep(NOTICE_POLL_SECONDS)
    drain(GRACE_SECONDS[source])


if __name__ == "__main__":
    main()
