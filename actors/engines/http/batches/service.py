"""The interface of a batch API: requests are sent as one batch, and their results are fetched when it has finished."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from actors.engine import EndpointRefused, EngineLost
from actors.engines.http.client import HttpAnswer, HttpClient
from actors.engines.http.endpoint import Endpoint
from actors.engines.http.exchange import backoff_seconds
from actors.engines.http.failures import http_failure


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A request of a batch: its id in the batch, the route of the API, and the body."""

    id: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one request: an HTTP status and a body in the form of the chat API; status 0 if it has expired."""

    id: str
    status: int
    body: Any


class BatchRejected(Exception):
    """The server does not process a batch. `too_large` says that smaller batches may be accepted."""

    def __init__(self, message: str, too_large: bool = False) -> None:
        super().__init__(message, too_large)
        self.message, self.too_large = message, too_large


class BatchService(Protocol):
    """A batch API. `max_requests` limits the requests of one batch."""

    max_requests: int

    def translate(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a request for a route of the chat API in the form of this API.

        Raises:
            RequestError: This API has no such requests (reason "unsupported").
        """
        ...

    async def submit(self, requests: Sequence[BatchRequest]) -> str:
        """Send requests of one route as a batch, and return the batch's id."""
        ...

    async def results(self, batch: str) -> Sequence[BatchResult] | None:
        """Return the results of a batch in any order; None while it is processed.

        Raises:
            BatchRejected: The server does not process the batch.
        """
        ...


class BatchConnection:
    """Sends the requests of a batch API, again if the server is overloaded or does not answer."""

    def __init__(self, client: HttpClient, endpoint: Endpoint, model: str) -> None:
        self._client, self._endpoint, self._model = client, endpoint, model

    async def call(
        self, method: str, path: str, data: bytes | None = None, content_type: str = "application/json"
    ) -> HttpAnswer:
        """Return a successful answer.

        Raises:
            EndpointRefused: The server rejects the request.
            EngineLost: The server does not answer.
        """
        attempt = 0
        while True:
            answer = await self._client.send(method, path, data, content_type=content_type)
            if answer.status == 200:
                return answer
            message = self._endpoint.error_message(answer.body)
            failure = http_failure(answer.status, message, answer.headers.get("Retry-After", ""))
            if failure.kind not in ("transient", "overloaded"):
                told = failure.message if failure.message.startswith("HTTP") else f"HTTP {answer.status} {message}"
                raise EndpointRefused(self._model, f"{self._endpoint.base}: {told}")
            if attempt == self._endpoint.retries:
                detail = f"{self._endpoint.base} gave no answer in {attempt + 1} attempts: {failure.message}"
                raise EngineLost(self._model, detail)
            await asyncio.sleep(backoff_seconds(attempt, answer.headers.get("Retry-After", "")))
            attempt += 1

    async def call_json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON object in a successful answer. Raises the errors of `call`."""
        data = json.dumps(body).encode() if body is not None else None
        return parse_object((await self.call(method, path, data)).body)


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`; an empty one for any other JSON value."""
    found = json.loads(data)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def parse_lines(data: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects in a file of JSON Lines."""
    return [parse_object(line) for line in data.splitlines() if line.strip()]
