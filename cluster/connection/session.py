"""Connects this process to Ray: to a local instance that stops with the session, or to an existing cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from cluster.connection.background import stop_background_work
from cluster.connection.leftover_processes import reap
from cluster.connection.library_floors import check_versions
from cluster.errors import ClusterError
from cluster.ray_internals import canonical_address, divert_messages
from cluster.resources.inventory import machine

NAMESPACE = "evolgrid"
OBJECT_STORE_BYTES = 512 * 2**20  # rows of text are small, and models need the memory


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection. `address` is "host:port". `local` is True if the session started Ray itself."""

    address: str
    local: bool


@contextmanager
def connect(address: str | None, *, cpus: int | None = None, modules: Sequence[str] = ()) -> Generator[Session]:
    """Connect this process to Ray for the length of a `with` block.

    Workers have no useful current folder: give them absolute paths. Inside another `connect` (or after `ray.init`) the
    existing connection is shared and stays open.

    Args:
        address: "host:port" of a cluster, or "auto" on a node of a cluster. This machine must be a node of that
            cluster, which keeps running after the block. If None, Ray is started on this machine and stopped at the
            end of the block, also on Ctrl-C or SIGTERM.
        cpus: Logical CPUs of a local Ray (default: all that this process may use).
        modules: Paths of packages that a cluster's workers are to import besides evolgrid.

    Raises:
        ClusterError: The cluster cannot be reached, requires another token or version, or has no authentication, or a
            library on this machine has known vulnerabilities.
    """
    import ray

    if ray.is_initialized():
        yield _current_session(address)
        return
    check_versions()
    divert_messages()
    try:
        with _keep_sigterm_handler():
            session = _start(cpus) if address is None else _join(address, cpus, modules)
        yield session
    finally:
        stop_background_work()
        with reap():
            ray.shutdown()


@contextmanager
def _keep_sigterm_handler() -> Generator[None]:
    """Restore the SIGTERM handler at the end of the block. Ray replaces it by one that exits immediately."""
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
    # Ray puts the current folder first on its workers' path, so make it the folder with our code
    try:
        with chdir(root()):
            ray.init(
                address="local",  # not None: a killed `ray start` leaves a file with the address of its stopped cluster
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


def _join(address: str, cpus: int | None, modules: Sequence[str]) -> Session:
    import ray

    from cluster.connection.auth import use_token
    from cluster.connection.code_shipping import package_code
    from cluster.connection.probe import probe

    if cpus is not None:
        raise ClusterError("a number of CPUs can be set for a local Ray only; omit it or the cluster's address")
    target = _resolve(address)
    protected = probe(target)
    if not protected and os.environ.get("EVOLGRID_ALLOW_UNAUTHENTICATED") != "1":
        raise ClusterError(
            f"the cluster at {target} has no token authentication, so everyone who can reach it can run code on it. "
            "Start it with RAY_AUTH_MODE=token, or set EVOLGRID_ALLOW_UNAUTHENTICATED=1 if its network is closed"
        )
    use_token(required=protected)
    try:
        # Ray puts the current folder first on the workers' path, so it must be empty: it must not hide the shipped code
        with TemporaryDirectory() as empty, chdir(empty):
            ray.init(
                address=target,
                runtime_env=package_code(modules),
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except ConnectionError as error:
        raise ClusterError(
            f"this machine is not a node of the cluster at {target}; run the command on one of its nodes"
        ) from error
    return Session(target, local=False)


def _resolve(address: str) -> str:
    if "://" in address:
        raise ClusterError(f"'{address}' is not an address of the form host:port; Ray Client (ray://) is not supported")
    try:
        target = canonical_address(address)
    except (ConnectionError, ValueError, OSError) as error:
        raise ClusterError(f"no cluster found for address '{address}': {error}") from error
    if target is None:
        raise ClusterError(f"no Ray cluster at '{address}'; omit --address to start a local one")
    return target


def _current_session(address: str | None) -> Session:
    import ray

    connected_address = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", connected_address):
        raise ClusterError(f"this process is already connected to {connected_address} and cannot also join {address}")
    return Session(connected_address, local=False)
