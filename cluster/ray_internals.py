"""The private Ray interfaces that evolgrid uses. Ray may change them, so no other module imports them.

If the installed Ray lacks a name, a ClusterError reports the name and Ray's version.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cluster.library_internals import find_internal

if TYPE_CHECKING:
    from ray.data._internal.stats import DatasetStatsSummary as DatasetStatsSummary

PREEMPTION = 2  # DRAIN_NODE_REASON_PREEMPTION
GrpcMetadata = Sequence[tuple[str, str]]


def draining_nodes() -> frozenset[str]:
    """Return the ids of the nodes that are being drained. Ray Serve and Ray Train use the same function."""
    return frozenset(find_internal("ray._private.state", "state.get_draining_nodes")())


def drain_node(gcs_address: str, node: str, reason: str, deadline: int) -> tuple[bool, str]:
    """Drain a node that is being preempted. `deadline` is in milliseconds since 1970.

    Return whether Ray accepts the request, and the reason if it does not.
    """
    client = find_internal("ray._raylet", "GcsClient")(address=gcs_address)
    return client.drain_node(node, PREEMPTION, reason, deadline)


def divert_messages() -> None:
    """Write what Ray reports about crashed processes to file descriptor 2 instead of the terminal.

    Each crash is many lines, and the user is informed of it in one. `evolgrid run` redirects the descriptor to a file.
    """
    find_internal("ray._private.worker", "print_to_stdstream")  # raises an error if Ray has renamed it
    worker = import_module("ray._private.worker")

    def to_stderr(data: Mapping[str, Any], ignore_prefix: bool) -> None:
        os.write(2, "".join(f"({data['pid']}) {line}\n" for line in data["lines"]).encode())

    worker.__dict__["print_to_stdstream"] = to_stderr


def reload_auth_mode() -> None:
    """Make Ray read the authentication mode from the environment again. Ray itself reads it only once, at import."""
    find_internal("ray._raylet", "Config.initialize")("")
    find_internal("ray._raylet", "AuthenticationTokenLoader.instance")().reset_cache()


def auth_token() -> str | None:
    """Return this user's token, even if authentication is disabled; None if there is no token."""
    loader = find_internal("ray._raylet", "AuthenticationTokenLoader.instance")()
    return loader.get_raw_token(ignore_auth_mode=True) if loader.has_token(ignore_auth_mode=True) else None


def canonical_address(address: str) -> str | None:
    """Return "host:port" for an address as users write it, such as "auto"; None if it names no cluster.

    Raises:
        ConnectionError, ValueError, OSError: There is no cluster, or the address is malformed.
    """
    return find_internal("ray._private.services", "canonicalize_bootstrap_address")(address)


def check_alive(channel: Any, timeout: float, metadata: GrpcMetadata) -> None:
    """Check that the head node behind a gRPC channel answers.

    Raises:
        grpc.RpcError: It does not answer within `timeout` seconds, or rejects the token.
    """
    stub = find_internal("ray.core.generated.gcs_service_pb2_grpc", "NodeInfoGcsServiceStub")(channel)
    request = find_internal("ray.core.generated.gcs_service_pb2", "CheckAliveRequest")()
    stub.CheckAlive(request, timeout=timeout, metadata=metadata)


def cluster_metadata(channel: Any, timeout: float, metadata: GrpcMetadata) -> bytes:
    """Return the versions of the head node behind a gRPC channel, as JSON. Raises the errors of `check_alive`."""
    stub = find_internal("ray.core.generated.gcs_service_pb2_grpc", "InternalKVGcsServiceStub")(channel)
    request = find_internal("ray.core.generated.gcs_service_pb2", "InternalKVGetRequest")
    return stub.InternalKVGet(
        request(namespace=b"cluster", key=b"CLUSTER_METADATA"), timeout=timeout, metadata=metadata
    ).value


def check_version_info(metadata: Mapping[str, Any], process: str) -> None:
    """Raise RuntimeError if a cluster with this metadata runs another version of Ray or Python than this process.

    `process` is a name of this process for the message.
    """
    find_internal("ray._private.utils", "check_version_info")(metadata, process)


def validate_launch_config(config: dict[str, Any]) -> None:
    """Raise ValueError or AssertionError for a configuration that Ray's launcher would reject. Modifies `config`."""
    prepare = find_internal("ray.autoscaler._private.util", "prepare_config")
    find_internal("ray.autoscaler._private.util", "validate_config")(prepare(config))
