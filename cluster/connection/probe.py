"""Checks a cluster before joining it, so that a wrong address, token or version gives a clear error.

`ray.init` responds to each of these with a long wait or a low-level error, and joins unprotected clusters silently.
"""

from __future__ import annotations

import json
from typing import Any

import grpc

from cluster.connection.auth import bearer_token
from cluster.errors import ClusterError
from cluster.ray_internals import check_alive, check_version_info, cluster_metadata

PROBE_TIMEOUT = 10.0
OPTIONS = (("grpc.enable_http_proxy", 0),)  # as in Ray: clusters are in the local network, proxies lead out of it


def probe(address: str) -> bool:
    """Return whether the cluster at `address` ("host:port") requires a token.

    Raises:
        ClusterError: The cluster does not answer within `PROBE_TIMEOUT` seconds, rejects this user's token, or runs
            another version of Ray or Python.
    """
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        protected = not _accepts(channel, address, metadata=())
        if protected and not bearer_token():
            raise ClusterError(
                f"the cluster at {address} requires a token and none was found; put it into ~/.ray/auth_token "
                "(mode 0600) or set RAY_AUTH_TOKEN_PATH to its file"
            )
        if protected and not _accepts(channel, address, metadata=bearer_token()):
            raise ClusterError(f"the cluster at {address} rejects the token; use the token of its head node")
        _check_versions(channel, address)
    return protected


def _accepts(channel: Any, address: str, metadata: tuple[tuple[str, str], ...]) -> bool:
    """Return False if the cluster rejects the token."""
    try:
        check_alive(channel, PROBE_TIMEOUT, metadata)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            return False
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error.details()}); check that it runs and is reachable from here"
        ) from error
    return True


def _check_versions(channel: Any, address: str) -> None:
    found = cluster_metadata(channel, PROBE_TIMEOUT, bearer_token())
    try:
        check_version_info(json.loads(found), f"evolgrid, for {address}")
    except RuntimeError as error:
        raise ClusterError(str(error)) from error
