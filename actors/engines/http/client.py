"""HTTP client of one endpoint: sends one request at a time, within the endpoint's limits. It retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from actors.engines.http.endpoint import JSON_TYPE, Endpoint
from actors.engines.http.rate_limit import RateLimiter
from actors.engines.http.self_limit import SelfLimit, shared_limit

SESSION_CLOSE_TIMEOUT = 10.0
MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers and body of an answer; status 0 and a description in `body` if there was none."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class HttpClient:
    """Sends requests to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._request_limiter = RateLimiter(endpoint.requests_per_minute)
        self._token_limiter = RateLimiter(endpoint.tokens_per_minute)
        self._session: aiohttp.ClientSession | None = None
        self._sessions: AsyncGenerator[aiohttp.ClientSession] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(endpoint.in_flight)
        self._self_limit = SelfLimit()
        self._urls: dict[str, str] = {}  # by route; of the present session, as are its headers and its proxy

    async def send(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        tokens: int = 0,
        content_type: str = JSON_TYPE,
    ) -> HttpAnswer:
        """Send one request as soon as the limits allow, and return the answer. Redirects within a server are followed.

        Args:
            method: GET or POST.
            path: The route of the API.
            data: The body.
            tokens: The estimated number of tokens of the request, for the limit of tokens per minute.
            content_type: What the body is.
        """
        session = await self._open_session()
        async with self._slots, self._self_limit.slot() as sent:
            await self._request_limiter.acquire()
            await self._token_limiter.acquire(tokens)
            answer = await self._send(session, method, self._url(path), data, content_type)
            sent.note(answer.status, answer.headers.get("Retry-After", ""))
            return answer

    @property
    def refusals(self) -> int:
        """How many times, one after the other, the server has asked for fewer requests since its last answer."""
        return self._self_limit.refusals

    def adjust_tokens(self, more: int) -> None:
        """Correct the limit of tokens per minute after a request that used `more` tokens than estimated."""
        self._token_limiter.adjust(more)

    async def aclose(self) -> None:
        """Close the connections from the event loop that opened them."""
        if self._sessions is not None:
            await self._sessions.aclose()

    def close(self) -> None:
        """Close the connections. May be called from any thread."""
        if self._loop is None or self._loop.is_closed() or self._sessions is None:
            return
        closing, loop, self._loop = self._sessions.aclose(), self._loop, None
        if not loop.is_running():
            loop.run_until_complete(closing)
        elif _is_running_in(loop):
            self._ending = loop.create_task(closing)
        else:
            asyncio.run_coroutine_threadsafe(closing, loop).result(SESSION_CLOSE_TIMEOUT)

    async def _send(
        self, session: aiohttp.ClientSession, method: str, url: str, data: bytes | None, content_type: str
    ) -> HttpAnswer:
        headers = None if content_type == JSON_TYPE else {"Content-Type": content_type}
        try:
            for _ in range(MAX_REDIRECTS):
                async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                    answer = HttpAnswer(response.status, response.headers, await response.read())
                if not 300 <= answer.status < 400:
                    return answer
                target = urljoin(url, answer.headers.get("Location", ""))
                if answer.status not in (307, 308) or not _same_server(url, target):
                    return _explain_redirect(answer, target)
                url = target
            return HttpAnswer(0, {}, b"too many redirects")
        except TimeoutError:
            return HttpAnswer(0, {}, f"no answer within {self._endpoint.timeout:g} s".encode())
        except (aiohttp.ClientError, OSError) as error:
            return HttpAnswer(0, {}, _describe(error).encode())

    def _url(self, path: str) -> str:
        if path not in self._urls:
            self._urls[path] = self._endpoint.full_url(path)
        return self._urls[path]

    async def _open_session(self) -> aiohttp.ClientSession:
        """Return the session of the running loop. Connections cannot be shared between loops."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._loop = loop
            self._slots = asyncio.Semaphore(self._endpoint.in_flight)
            self._self_limit = shared_limit(self._endpoint.base, self._endpoint.key.location)
            self._urls = {}
            self._sessions = self._session_scope()
            self._session = await anext(self._sessions)
        return self._session

    async def _session_scope(self) -> AsyncGenerator[aiohttp.ClientSession]:
        # a generator, because a loop that shuts down closes its generators, and thereby the connections
        more: dict[str, Any] = {"ssl": self._endpoint.ssl_context} if self._endpoint.ssl_context else {}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._endpoint.in_flight, **more),
            timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout),
            headers=self._endpoint.request_headers(),
            proxy=self._endpoint.proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield session


def _same_server(url: str, target: str) -> bool:
    return urlsplit(url)[:2] == urlsplit(target)[:2]


def _explain_redirect(answer: HttpAnswer, target: str) -> HttpAnswer:
    """Return a redirect to another server, where the key must not go, with an explanation."""
    return HttpAnswer(answer.status, {}, f"it redirects to {target}: is that the address for option 'url'?".encode())


def _describe(error: aiohttp.ClientError | OSError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{error.certificate_error}: name the file of its authority's certificate in option 'ca_file'"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host}:{error.port}, which the environment sets, cannot be reached: {error.os_error}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended within the answer, or the answer cannot be decompressed"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return f"{type(cause).__name__}: {cause}"


def _is_running_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
