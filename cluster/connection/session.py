"""One connection to Ray: a local one that lives as long as the session, or a cluster that is there already."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from cluster.connection.leftover_processes import reap
from cluster.connection.library_floors import check_versions
from cluster.errors import ClusterError
from cluster.ray_internals import canonical_address
from cluster.resources.inventory import machine

NAMESPACE = "evolgrid"
OBJECT_STORE_BYTES = 512 * 2**20  # rows of text are small; the models need the memory more


@dataclass(frozen=True, slots=True)
class Session:
    """A live connection. `address` is "host:port"; `local` tells whether the session started Ray itself."""

    address: str
    local: bool


@contextmanager
def connect(address: str | None, *, cpus: int | None = None) -> Generator[Session]:
    """Connect this process to Ray for the length of a `with` block.

    Without an address, Ray starts on this machine with `cpus` logical CPUs (default: all that this process may use)
    and stops at the end of the block, also on Ctrl-C or SIGTERM. Workers have no useful current folder: give them
    absolute paths. With "host:port", or "auto" on a cluster's node, the
    cluster is joined and left as it was; this machine must be one of its nodes. Inside another `connect` (or after
    `ray.init`) the connection is shared and stays open.

    Raises ClusterError if the cluster can not be reached, demands another token or version, or has no authentication,
    and for libraries of a version with known holes.
    """
    import ray

    if ray.is_initialized():
        yield _current_session(address)
        return
    check_versions()
    try:
        with _keep_sigterm_handler():
            session = _start(cpus) if address is None else _join(address, cpus)
        yield session
    finally:
        with reap():
            ray.shutdown()


@contextmanager
def _keep_sigterm_handler() -> Generator[None]:
    """Ray puts a handler of its own for SIGTERM, which ends the process where it stands: ours comes back after it."""
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)


def _start(cpus: int | None) -> Session:
    import ray

    from cluster.connection.auth import ensure_token, use_token
    from cluster.connection.code_shipping import root

    ensure_token()
    use_token(required=True)
    # Ray puts the current folder before everything else on its workers' path: let it be the one with our code
    try:
        with chdir(root()):
            ray.init(
                address="local",  # not None: a killed `ray start` leaves a file that would lead us to its dead cluster
                num_cpus=cpus or machine().cpus,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # Ray has no narrower type for processes that do not come up in time
        raise ClusterError(f"Ray did not start on this machine: {error}") from error
    return Session(ray.get_runtime_context().gcs_address, local=True)


def _join(address: str, cpus: int | None) -> Session:
    import ray

    from cluster.connection.auth import use_token
    from cluster.connection.code_shipping import package_code
    from cluster.connection.probe import probe

    if cpus is not None:
        raise ClusterError("a number of CPUs can be given for a local Ray only, not together with an address")
    target = _resolve(address)
    protected = probe(target)
    if not protected and os.environ.get("EVOLGRID_ALLOW_UNAUTHENTICATED") != "1":
        raise ClusterError(
            f"the cluster at {target} has no token authentication: everyone who reaches it can run code on it. "
            "Start it with RAY_AUTH_MODE=token, or set EVOLGRID_ALLOW_UNAUTHENTICATED=1 if its network is closed"
        )
    use_token(required=protected)
    try:
        # an empty current folder: Ray puts it first on the workers' path, where it must not hide the shipped code
        with TemporaryDirectory() as empty, chdir(empty):
            ray.init(
                address=target,
                runtime_env=package_code(),
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except ConnectionError as error:
        raise ClusterError(f"{target} answers, but this machine is not a node of that cluster; run there") from error
    return Session(target, local=False)


def _resolve(address: str) -> str:
    if "://" in address:
        raise ClusterError(f"'{address}' is not an address of the form host:port; Ray Client (ray://) is not supported")
    try:
        target = canonical_address(address)
    except (ConnectionError, ValueError, OSError) as error:
        raise ClusterError(f"no cluster found for address '{address}': {error}") from error
    if target is None:
        raise ClusterError(f"'{address}' names no cluster; leave the address out to start a local Ray")
    return target


def _current_session(address: str | None) -> Session:
    import ray

    connected_address = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", connected_address):
        raise ClusterError(f"this process is connected to {connected_address} already and can not join {address} too")
    return Session(connected_address, local=False)
