"""Requests with retries, and whose failure it is when they fail: one request's, or the endpoint's.

A failure is a row's if the endpoint answers the same request with another text meanwhile. It is found out by the other
requests that are answered and, if there are none, by a request of its own (the control).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from actors.engine import EndpointRefused, EngineLost, RequestError
from actors.engines.http.bodies import decode_body
from actors.engines.http.client import HttpAnswer, HttpClient
from actors.engines.http.endpoint import Endpoint
from actors.engines.http.failures import Failure, FailureKind, http_failure, odd, parameter_hint
from actors.engines.http.self_limit import retry_after_seconds

Answer = TypeVar("Answer")
INITIAL_DELAY, MAX_DELAY = 0.5, 60.0  # seconds between attempts: exponential, with a random factor of 0.5 to 1
CONTROL_ATTEMPTS = 3
_to_sorted_json = json.JSONEncoder(sort_keys=True).encode
_RETRIES: Mapping[FailureKind, int] = {"odd": 2, "denied": 1, "rejected": 0, "row": 0, "account": 0}  # at most


class AnswerFailure(Exception):
    """An answer with status 200 that contains no result."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request: its route, its body, and what reads the answer's JSON.

    `tokens` is the estimated number of tokens. `control` is the body of the same request with a harmless text, and
    `read_control` reads its answer. `read` and `read_control` raise RequestError or AnswerFailure.
    """

    path: str
    body: Mapping[str, Any]
    tokens: int
    read: Callable[[dict[str, Any]], Answer]
    control: Mapping[str, Any]
    read_control: Callable[[dict[str, Any]], object]

    @property
    def form(self) -> str:
        """The request without its text and its seed: what all requests of this form have in common."""
        return self.path + _to_sorted_json({**self.control, "seed": "seed" in self.control})


class Exchange:
    """Asks one endpoint for one model. `retry_count` is the number of requests that were sent again."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self.client = HttpClient(endpoint)
        self.retry_count = 0
        self._endpoint, self._model = endpoint, model
        self._answered: dict[str, float] = {}  # by form: when the last request that was answered had been sent
        self._verdicts: dict[str, tuple[float, Exception]] = {}  # by form: when and how the control failed
        self._control_lock = asyncio.Lock()

    async def ask(self, call: Call[Answer]) -> Answer:
        """Send a request and return what its `read` returns, after retries if they may help.

        Raises:
            RequestError: The endpoint does not answer this request, but others.
            EndpointRefused: It answers no request of this form, and says why.
            EngineLost: It does not answer.
        """
        attempt = 0
        while True:
            started = asyncio.get_running_loop().time()
            result, headers = await self._attempt(call.path, call.body, call.tokens, call.read, call.form)
            if not isinstance(result, Failure):
                return result
            # all requests wait for an overloaded server together, so that each alone would be asked far too seldom
            tried = max(attempt, self.client.refusals - 1) if result.kind == "overloaded" else attempt
            if tried >= min(_RETRIES.get(result.kind, self._endpoint.retries), self._endpoint.retries):
                await self._raise_failure(call, result, tried + 1)
            if result.kind != "overloaded" or self._answered.get(call.form, 0.0) < started:
                attempt += 1  # while others are answered, an overloaded server is asked as long as it takes
            self.retry_count += 1
            await asyncio.sleep(backoff_seconds(attempt - 1, headers.get("Retry-After", "")))

    async def _attempt(
        self, path: str, body: Mapping[str, Any], tokens: int, read: Callable[[dict[str, Any]], Answer], form: str
    ) -> tuple[Answer | Failure, Mapping[str, str]]:
        """Send a request once. Return its result or failure, and the answer's headers.

        Raises:
            RequestError: The endpoint answers, but has no reply to this request.
        """
        sent = asyncio.get_running_loop().time()
        answer = await self.client.send("POST", path, json.dumps(body).encode(), tokens)
        if not 200 <= answer.status < 300:
            return self._failure_of(answer), answer.headers
        try:
            found = decode_body(answer.body)
            self.client.adjust_tokens(_tokens_used(found, tokens) - tokens)
            result = read(found)
        except AnswerFailure as why:
            return why.failure, answer.headers
        except RequestError:
            self._answered[form] = max(sent, self._answered.get(form, 0.0))
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            shown = self._endpoint.error_message(answer.body)
            why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return odd(f"the answer is not a completion ({why}): {shown}"), answer.headers
        self._answered[form] = max(sent, self._answered.get(form, 0.0))
        return result, answer.headers

    def _failure_of(self, answer: HttpAnswer) -> Failure:
        message = self._endpoint.error_message(answer.body)
        return http_failure(answer.status, message, answer.headers.get("Retry-After", ""))

    async def _raise_failure(self, call: Call[Any], failure: Failure, attempts: int) -> NoReturn:
        """Raise RequestError if the failure is the request's, else EngineLost."""
        if failure.kind == "account":
            raise EndpointRefused(self._model, f"{self._endpoint.base}: {failure.message}")
        if failure.kind == "row" or (failure.kind == "rejected" and call.form in self._answered):
            raise RequestError(failure.reason, failure.message)
        if problem := await self._ask_control(call, failure, attempts):
            raise problem
        raise RequestError(failure.reason, failure.message)

    async def _ask_control(self, call: Call[Any], failure: Failure, attempts: int) -> Exception | None:
        """Return None if the endpoint answers other requests of this form now, else the endpoint's problem."""
        failed = asyncio.get_running_loop().time()
        async with self._control_lock:  # those that fail together share one control
            if self._answered.get(call.form, -1.0) >= failed:
                return None
            judged, problem = self._verdicts.get(call.form, (-1.0, None))
            if judged >= failed:
                return problem
            asked, refusal = asyncio.get_running_loop().time(), await self._try_control(call)
            if refusal is None:
                return None
            problem = self._problem(call, refusal if refusal.kind == "account" else failure, attempts)
            self._verdicts[call.form] = asked, problem
            return problem

    async def _try_control(self, call: Call[Any]) -> Failure | None:
        """Send a control, again if that may help. Return None if it is answered, else how it failed."""
        for number in range(CONTROL_ATTEMPTS):
            try:
                result, headers = await self._attempt(call.path, call.control, 10, call.read_control, call.form)
            except RequestError:
                return None
            if not isinstance(result, Failure) or result.kind in ("account", "rejected", "row"):
                return result if isinstance(result, Failure) else None
            if number == CONTROL_ATTEMPTS - 1:
                return result
            await asyncio.sleep(backoff_seconds(number, headers.get("Retry-After", "")))
        raise AssertionError("unreachable")

    def _problem(self, call: Call[Any], failure: Failure, attempts: int) -> Exception:
        """Return the error for a failure of all requests."""
        if failure.kind in ("transient", "overloaded"):
            detail = f"{self._endpoint.base} gave no answer in {attempts} attempts: {failure.message}"
            return EngineLost(self._model, detail)
        status = failure.reason.replace("http_", "HTTP ") + " " if failure.reason.startswith("http_") else ""
        told = failure.message if failure.message.startswith("HTTP") else status + failure.message
        hint = parameter_hint(failure.message, call.body)
        return EndpointRefused(self._model, f"{self._endpoint.base}: {told}" + (f": {hint}" if hint else ""))


def backoff_seconds(attempt: int, retry_after: str) -> float:
    """Return seconds before the next attempt: exponential with jitter, and at least the server's Retry-After."""
    backoff = min(MAX_DELAY, INITIAL_DELAY * 2 ** max(0, attempt)) * random.uniform(0.5, 1.0)
    requested = retry_after_seconds(retry_after)
    # jitter, so that clients with the same Retry-After do not retry at the same time
    return max(backoff, requested + random.uniform(0.0, min(1.0, backoff))) if requested > 0 else backoff


def _tokens_used(answer: Mapping[str, Any], estimated: int) -> int:
    usage = answer.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None  # pyright: ignore
    return total if isinstance(total, int) else estimated
