"""`python -m cluster.notice aws|gcp|now`: tell the cluster that this machine is about to go.

A cloud says some time before that it takes a spot machine back (AWS two minutes, Google half a minute); Kubernetes runs
a pod's `preStop` (`now`). Replicas on a draining node finish what they have, and others begin elsewhere.
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
    """Whether EC2 has said that it takes this spot instance back (instance metadata service, version 2)."""
    token = _fetch_metadata(f"{base}/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    found = _fetch_metadata(f"{base}/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token or ""})
    return found is not None  # 404 until then


def gcp_notice(base: str = GCP) -> bool:
    """Whether Compute Engine has said that it takes this spot machine back."""
    return _fetch_metadata(f"{base}/instance/preempted", {"Metadata-Flavor": "Google"}) == "TRUE"


def _fetch_metadata(url: str, headers: Mapping[str, str], method: str = "GET") -> str | None:
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=METADATA_TIMEOUT) as answer:
            return answer.read().decode().strip()
    except (HTTPError, URLError, TimeoutError):
        return None


def drain(seconds: float, address: str = "auto") -> None:
    """Have the cluster begin nothing new on this machine's node, which goes in so many seconds.

    Raises RuntimeError where Ray refuses; errors as of `connect`.
    """
    import ray

    with connect(address):
        ray_context = ray.get_runtime_context()
        end = int((time.time() + seconds) * 1000)
        accepted, why = drain_node(
            ray_context.gcs_address, ray_context.get_node_id(), "the machine is about to go", end
        )
    if not accepted:
        raise RuntimeError(f"Ray does not drain this node: {why}")


def main() -> None:
    """Wait for the notice, and drain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=list(GRACE_SECONDS))
    source = parser.parse_args().source
    noticed = {"aws": aws_notice, "gcp": gcp_notice, "now": lambda: True}[source]
    while not noticed():
        time.sleep(NOTICE_POLL_SECONDS)
    drain(GRACE_SECONDS[source])


if __name__ == "__main__":
    main()
