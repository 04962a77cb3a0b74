"""HTTP client of one endpoint: JSON requests with rate limits and retries."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

import aiohttp

from actors.engine import EngineLost
from actors.engines.http.endpoint import Endpoint
from actors.engines.http.rate_limit import RateLimiter

Answer = TypeVar("Answer")
INITIAL_DELAY, MAX_DELAY = 0.5, 60.0  # seconds between attempts: exponential, with a random factor of 0.5 to 1
SESSION_CLOSE_TIMEOUT = 10.0
RETRYABLE_STATUSES = frozenset({408, 409, 429})  # and all of 500 and above
FATAL_STATUSES = frozenset({401, 403, 404})  # worked at load: the key was revoked, or the model removed


class HttpClient:
    """Sends requests for one model to one endpoint."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint, self._model = endpoint, model
        self._request_limiter, self._token_limiter = (
            RateLimiter(endpoint.requests_per_minute),
            RateLimiter(endpoint.tokens_per_minute),
        )
        self._slots = asyncio.Semaphore(endpoint.in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._sessions: AsyncGenerator[aiohttp.ClientSession] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.retry_count = 0

    async def post(
        self, path: str, body: Mapping[str, Any], tokens: int, read: Callable[[dict[str, Any]], Answer]
    ) -> Answer:
        """Send a request and return the result of `read` on the answer's JSON.

        Args:
            tokens: The estimated number of tokens of the request, for the rate limiter.

        Raises:
            RequestError: The endpoint rejects this request.
            EngineLost: All retries fail, or the endpoint rejects the credentials.
        """
        data, problem = json.dumps(body).encode(), ""
        for attempt in range(self._endpoint.retries + 1):
            status, headers, answer = await self._send(path, data, tokens)
            if status == 200:
                try:
                    parsed = json.loads(answer)
                    self._token_limiter.adjust(parsed["usage"]["total_tokens"] - tokens)
                    return read(parsed)
                except (KeyError, IndexError, TypeError, ValueError) as error:
                    problem = f"the answer is not a completion, {type(error).__name__}: {error}"
            elif status in FATAL_STATUSES:
                raise EngineLost(
                    self._model, f"{self._endpoint.url}: HTTP {status} {self._endpoint.error_message(answer)}"
                )
            elif 400 <= status < 500 and status not in RETRYABLE_STATUSES:
                raise self._endpoint.permanent_error(status, answer)
            else:
                problem = (f"HTTP {status} " if status else "") + self._endpoint.error_message(answer)
            if attempt < self._endpoint.retries:
                self.retry_count += 1
                await asyncio.sleep(backoff_seconds(attempt, headers.get("Retry-After", "")))
        attempts = self._endpoint.retries + 1
        raise EngineLost(self._model, f"{self._endpoint.url} gave no answer in {attempts} attempts: {problem}")

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

    async def _send(self, path: str, data: bytes, tokens: int) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; status 0 and a description if the request failed."""
        session, url = await self._open_session(), self._endpoint.full_url(path)
        async with self._slots:
            await self._request_limiter.acquire()
            await self._token_limiter.acquire(tokens)
            try:
                async with session.post(url, data=data, allow_redirects=False) as response:
                    return response.status, response.headers, await response.read()
            except TimeoutError:
                return 0, {}, f"no answer within {self._endpoint.timeout:g} s".encode()
            except (aiohttp.ClientError, OSError) as error:
                return 0, {}, f"{type(error).__name__}: {error}".encode()

    async def _open_session(self) -> aiohttp.ClientSession:
        """Return the session of the running loop. Connections cannot be shared between loops."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._loop, self._slots = loop, asyncio.Semaphore(self._endpoint.in_flight)
            self._sessions = self._session_scope()
            self._session = await anext(self._sessions)
        return self._session

    async def _session_scope(self) -> AsyncGenerator[aiohttp.ClientSession]:
        # a generator, because a loop that shuts down closes its generators, and thereby the connections
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._endpoint.in_flight),
            timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout),
            headers=self._endpoint.headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield session


def backoff_seconds(attempt: int, retry_after: str) -> float:
    """Return seconds before the next attempt: exponential with jitter, and at least the server's Retry-After."""
    backoff = min(MAX_DELAY, INITIAL_DELAY * 2**attempt) * random.uniform(0.5, 1.0)
    try:
        requested = float(retry_after)
    except ValueError:
        date = email.utils.parsedate_tz(retry_after)
        requested = email.utils.mktime_tz(date) - time.time() if date else 0.0
    # jitter, so that clients with the same Retry-After do not retry at the same time
    return max(backoff, requested + random.uniform(0.0, min(1.0, backoff))) if requested > 0 else backoff


def _is_running_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
