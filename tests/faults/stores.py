"""A faulty S3 server: answers 503, is slow or unavailable, closes connections, or returns stale lists."""

from __future__ import annotations

import random
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

STALE_SECONDS = 1.0
SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>'


class FlakyS3:
    """An S3 server. `begin` sets the fault: 503, slow, stale, away, cut, or "" for none."""

    def __init__(self, port: int = 0) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", port, self._answer, threaded=True)
        self._fault, self._chance = "", random.Random(0)
        self._listed: dict[str, tuple[float, list[bytes], Any]] = {}

    def serve(self) -> None:
        """Serve until `end` is called."""
        self._server.serve_forever()

    def end(self) -> None:
        """Stop the server."""
        self._server.shutdown()

    def begin(self, fault: str, chance: random.Random) -> None:
        """Inject this fault from now on."""
        self._fault, self._chance = fault, random.Random(chance.random())

    def environment(self) -> dict[str, str]:
        """Return the environment variables of clients."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def bucket(self) -> str:
        """Return the URL of a store in a new bucket."""
        import os

        import s3fs

        os.environ.update(self.environment())
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
        return f"s3://{name}/store"

    def _answer(self, environ: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if self._fault == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if self._fault == "away" or (self._fault == "503" and self._chance.random() < 0.1):
            begin("503 Slow Down", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        if self._fault == "slow":
            time.sleep(self._chance.random() ** 4)
        query = environ.get("QUERY_STRING", "")
        if self._fault == "stale" and environ["REQUEST_METHOD"] == "GET" and "list-type=2" in query:
            return self._stale(environ["PATH_INFO"] + query, environ, begin)
        return self._app(environ, begin)

    def _stale(self, what: str, environ: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        """Return a list, in half of the cases an outdated one."""
        then, body, head = self._listed.get(what, (0.0, [], None))
        if head is None or time.monotonic() - then > STALE_SECONDS or self._chance.random() < 0.5:
            heads: list[Any] = []
            body = list(self._app(environ, lambda status, headers, *_: heads.append((status, headers))))
            head = heads[0]
            self._listed[what] = time.monotonic(), body, head
        begin(*head)
        return body
