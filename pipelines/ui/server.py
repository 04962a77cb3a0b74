"""Serves the page of a store to this machine until it is interrupted."""

from __future__ import annotations

import contextlib
import secrets
import socket
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from pipelines.errors import InputError
from pipelines.store.store import Store
from pipelines.ui.access import TOKEN_PARAMETER
from pipelines.ui.app import make_app
from pipelines.ui.reading.reader import StoreReader

HOST = "127.0.0.1"
PORTS_TRIED = 50
CLOSE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is ready to be served: its address with the token, and the listening socket."""

    url: str
    server: uvicorn.Server
    listener: socket.socket

    def serve(self, open_browser: bool) -> None:
        """Serve the page until SIGINT or SIGTERM arrives."""
        if open_browser:
            webbrowser.open(self.url)
        with contextlib.suppress(KeyboardInterrupt):
            self.server.run(sockets=[self.listener])


def prepare(store: Store, port: int, announce: Callable[[str], None] = lambda text: None) -> Page:
    """Return the page of a store, to be served on `port` or, if that is in use, on the next free one.

    Raises:
        InputError: There is no store, or no port is free.
    """
    check_exists(store)
    listener = _listen(port)
    found: int = listener.getsockname()[1]
    if port and found != port:
        announce(f"port {port} is in use: serving on {found}")
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        make_app(StoreReader(store), token, found),
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    return Page(f"http://{HOST}:{found}/?{TOKEN_PARAMETER}={token}", uvicorn.Server(config), listener)


def check_exists(store: Store) -> None:
    """Check that there is something at the store's address. An empty folder is a store without studies.

    Raises:
        InputError: There is nothing, or it cannot be read.
    """
    try:
        found = store.fs.exists(store.root)
    except OSError as error:
        raise InputError(f"the store {store.url} cannot be read: {' '.join(str(error).split())}") from None
    if not found:
        raise InputError(
            f"there is no store at {store.url}",
            remedy="Run a study first, or give the store's folder or URL: evolgrid ui STORE.",
        )


def _listen(port: int) -> socket.socket:
    """Return a listening socket on this port, or the next free one; 0 is any free port.

    Raises:
        InputError: None of `PORTS_TRIED` ports is free.
    """
    for tried in range(port, min(port + PORTS_TRIED, 65536)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, tried))
            listener.listen(128)  # another process may have bound the port without listening yet
        except OSError:
            listener.close()
            continue
        return listener
    raise InputError(
        f"none of the ports from {port} to {port + PORTS_TRIED - 1} is free", remedy="Give another --port."
    )
