"""Asks an endpoint whether it is there, accepts the key and serves the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from actors.engine import TOP_LOGPROBS, Feature, GenerateRequest, RequestError
from actors.engines.http.bodies import CONTROL_TEXT, PROBE_REQUEST, RequestBodies, decode_body
from actors.engines.http.client import HttpAnswer, HttpClient
from actors.engines.http.completions import MISSING_LOGPROBS, read_completion
from actors.engines.http.echo import read_echo
from actors.engines.http.endpoint import Endpoint
from actors.engines.http.exchange import AnswerFailure
from actors.engines.http.failures import http_failure, parameter_hint

_NO_ROUTE = frozenset({404, 405, 501})
LIST_SECONDS, CHAT_SECONDS = 10.0, 60.0
LOGPROBS_OF: Mapping[Feature, str] = {
    "prompt_logprobs": "prompts",
    "reply_logprobs": "replies",
    "top_logprobs": "a reply's alternatives",
}


def probe(endpoint: Endpoint, model: str, chat_body: Mapping[str, Any], always_chat: bool = False) -> None:
    """Check that the endpoint answers, accepts the key and serves the model. Blocks for a minute at most.

    If the endpoint's list of models does not contain the model, or with `always_chat`, the small chat request
    `chat_body` is sent.

    Raises:
        ConnectionError: The endpoint does not answer.
        ValueError: The endpoint rejects the key or the request, or does not serve the model.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller's thread may run an event loop
        thread.submit(asyncio.run, _probe(endpoint, model, chat_body, always_chat)).result()


def probe_features(endpoint: Endpoint, bodies: RequestBodies, needs: Sequence[Feature]) -> None:
    """Check that the endpoint gives the log-probabilities that a study needs. Blocks for a minute at most.

    Raises:
        ConnectionError: The endpoint does not answer.
        ValueError: The endpoint does not give them.
    """
    if "prompt_logprobs" in needs:
        body = bodies.echo(CONTROL_TEXT)
        read = partial(read_echo, "", "", "", CONTROL_TEXT)
        _ask_once(endpoint, "/completions", body, read, MISSING_LOGPROBS["prompt_logprobs"])
    asked: dict[Feature, GenerateRequest] = {
        "reply_logprobs": replace(PROBE_REQUEST, logprobs=True),
        "top_logprobs": replace(PROBE_REQUEST, top_logprobs=TOP_LOGPROBS),
    }
    for feature, request in asked.items():
        if feature not in needs:
            continue
        read = partial(read_completion, request)
        _ask_once(endpoint, "/chat/completions", bodies.chat(request), read, MISSING_LOGPROBS[feature])


def served_models(endpoint: Endpoint) -> list[str]:
    """Return the names of the models that an endpoint says it serves. Blocks for ten seconds at most.

    Raises:
        ConnectionError: The endpoint does not answer.
        ValueError: The endpoint rejects the key, or gives no list of models.
    """
    with ThreadPoolExecutor(1) as thread:
        answer: HttpAnswer = thread.submit(asyncio.run, _send(endpoint, "GET", "/models")).result()
    if answer.status != 404:
        _check(endpoint, answer, {})
    if not (names := parse_model_ids(answer.body)):
        told = f"HTTP {answer.status} {endpoint.error_message(answer.body)}".strip()
        raise ValueError(f"{endpoint.base}/models gives no list of models: does the address end in /v1? ({told})")
    return names


def _ask_once(
    endpoint: Endpoint,
    path: str,
    body: Mapping[str, Any],
    read: Callable[[dict[str, Any]], object],
    missing: str,
) -> None:
    with ThreadPoolExecutor(1) as thread:
        answer: HttpAnswer = thread.submit(asyncio.run, _send(endpoint, "POST", path, body)).result()
    message = endpoint.error_message(answer.body)
    if answer.status >= 400 and ("logprobs" in message or (path == "/completions" and answer.status in _NO_ROUTE)):
        raise ValueError(f"{endpoint.base}: {missing} (HTTP {answer.status} {message})")
    _check(endpoint, answer, body)
    _read(endpoint, answer, read)


def _read(endpoint: Endpoint, answer: HttpAnswer, read: Callable[[dict[str, Any]], object]) -> None:
    """Raise ValueError if a successful answer contains no result."""
    if not 200 <= answer.status < 300:
        return  # of this moment: a run would ask again
    try:
        read(decode_body(answer.body))
    except AnswerFailure as why:
        raise ValueError(f"{endpoint.base}: {why.failure.message}") from None
    except RequestError:
        return  # it answers: whether this text is refused is another matter
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        told = f"the answer is not a completion ({error}): {endpoint.error_message(answer.body)}"
        raise ValueError(f"{endpoint.base}: {told}") from None


async def _probe(endpoint: Endpoint, model: str, chat_body: Mapping[str, Any], always_chat: bool) -> None:
    listed = await _send(endpoint, "GET", "/models")
    served_models = parse_model_ids(listed.body) if listed.status == 200 else []
    if listed.status in (401, 403):
        _check(endpoint, listed, chat_body)
    if model in served_models and not always_chat:
        return
    answer = await _send(endpoint, "POST", "/chat/completions", chat_body)
    if answer.status == 404:
        _raise_not_served(endpoint, model, served_models, listed.status, answer)
    _check(endpoint, answer, chat_body)
    _read(endpoint, answer, lambda found: read_completion(PROBE_REQUEST, found))


def _raise_not_served(
    endpoint: Endpoint, model: str, served_models: list[str], listed_status: int, answer: HttpAnswer
) -> None:
    told = f"HTTP 404 {endpoint.error_message(answer.body)}".strip()
    if listed_status == 404 and model not in told:
        raise ValueError(f"no API at {endpoint.base}: does the address end in /v1? The server says: {told}")
    known = f"; it serves {', '.join(served_models[:10])}" if served_models else ""
    raise ValueError(f"{endpoint.base} does not serve the model {model!r}: {told}{known}")


def _check(endpoint: Endpoint, answer: HttpAnswer, body: Mapping[str, Any]) -> None:
    """Raise the error of an answer that shows that no request will be answered."""
    message = endpoint.error_message(answer.body)
    if answer.status in (401, 403):
        asked = f"the key in {endpoint.key.location}" if endpoint.key.location else "requests without a key"
        remedy = "" if endpoint.key.location else " (option 'key_file')"
        raise ValueError(f"{endpoint.base} rejects {asked}{remedy}: HTTP {answer.status} {message}")
    if 200 <= answer.status < 300:
        return
    failure = http_failure(answer.status, message, answer.headers.get("Retry-After", ""))
    if failure.kind in ("account", "rejected", "denied"):
        hint = parameter_hint(message, body)
        told = failure.message if failure.message.startswith("HTTP") else f"HTTP {answer.status} {failure.message}"
        raise ValueError(f"{endpoint.base} rejects requests: {told}" + (f": {hint}" if hint else ""))


async def _send(endpoint: Endpoint, method: str, path: str, body: Mapping[str, Any] | None = None) -> HttpAnswer:
    timeout = LIST_SECONDS if method == "GET" else CHAT_SECONDS
    client = HttpClient(replace(endpoint, timeout=timeout, requests_per_minute=0, tokens_per_minute=0))
    try:
        answer = await client.send(method, path, json.dumps(body).encode() if body is not None else None)
    finally:
        await client.aclose()
    if answer.status == 0:
        raise ConnectionError(f"{endpoint.base} does not answer: {endpoint.error_message(answer.body)}")
    return answer


def parse_model_ids(answer: bytes) -> list[str]:
    """Return the names in a server's list of models; empty if it is none."""
    try:
        return [entry["id"] for entry in json.loads(answer)["data"]]
    except (ValueError, KeyError, TypeError):
        return []
