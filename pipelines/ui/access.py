"""Who may read the page: requests to this machine's own name, with the token that was printed, and only reads."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_PARAMETER = "token"
NO_TOKEN = "This page needs the token: open the URL that 'evolgrid ui' has printed.\n"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Access:
    """Rejects requests for another host (DNS rebinding), with another method than GET, or without the token.

    The token is accepted as a parameter of the URL; the answer sets a cookie, which later requests carry.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"evolgrid-{port}"  # cookies do not distinguish ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        in_url = self._has_token_in_url(scope)
        if headers.get("host", "").lower() not in self._hosts:
            answer: Any = PlainTextResponse("This page is served to this machine only.\n", 403)
        elif scope["method"] not in ("GET", "HEAD"):
            answer = PlainTextResponse("This page only reads.\n", 405, {"allow": "GET, HEAD"})
        elif in_url or self._has_cookie(headers.get("cookie", "")):
            answer = self._app
        else:
            answer = PlainTextResponse(NO_TOKEN, 403)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_defaults(message["headers"], in_url and answer is self._app)
            await send(message)

        await answer(scope, receive, send_with_headers)

    def _with_defaults(self, headers: list[tuple[bytes, bytes]], set_cookie: bool) -> list[tuple[bytes, bytes]]:
        given = {name for name, _ in headers}
        added = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in given]
        if set_cookie:
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            added.append((b"set-cookie", cookie.encode()))
        return [*headers, *added]

    def _has_token_in_url(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN_PARAMETER, [""])
        return self._matches(given[0])

    def _has_cookie(self, header: str) -> bool:
        try:
            found = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return found is not None and self._matches(found.value)

    def _matches(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())
