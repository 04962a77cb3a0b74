"""Runs a web application in a thread of this process."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def served(app: web.Application, tls: ssl.SSLContext | None = None) -> Generator[str]:
    """Yield the application's address, which ends in /v1; for https with a context `tls`."""
    urls, ready, loop, runner = list[str](), threading.Event(), asyncio.new_event_loop(), web.AppRunner(app)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        urls.append(f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/v1")
        ready.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
