"""An OpenAI-compatible endpoint: its address, its key, what its errors mean, and whether it is there at all."""

from __future__ import annotations

import http.client
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from actors.engine import RequestError

PROBE_SECONDS = 10.0
HTTP_RETRIES = 6  # of a request, where the option does not say
_TOO_LONG = re.compile(r"context.length|context.window|max_model_len|maximum.*(length|tokens)|too long", re.IGNORECASE)
_FILTERED = re.compile(r"content.filter|content.policy|content management", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served, in which file or environment variable its key is (if any), how hard it may be used.

    The key itself is read where it is needed and kept in no field. ValueError for a wrong address or a missing key.
    """

    url: str
    key_file: str
    key_env: str
    in_flight: int
    requests_per_minute: int
    tokens_per_minute: int
    retries: int
    timeout: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("engine 'http': option 'url' must be the API's address alone, like http://host:8000/v1")
        if self.key_file and self.key_env:
            raise ValueError("engine 'http': give one of the options 'key_file' and 'key_env'")
        if self.in_flight < 1:
            raise ValueError("engine 'http': option 'in_flight' must be at least 1")
        self.read_key()

    def read_key(self) -> str:
        """The key, empty if none is needed. ValueError that names the file or the variable, never what it holds."""
        if not self.key_location:
            return ""
        key = _read_key_file(Path(self.key_file)) if self.key_file else os.environ.get(self.key_env, "").strip()
        if not key:
            option, what = ("key_file", "holds nothing") if self.key_file else ("key_env", "is not set")
            raise ValueError(f"{self.key_location}, which option '{option}' names, {what}")
        if not (key.isascii() and key.isprintable()):  # or the HTTP library's error would quote it
            raise ValueError(f"{self.key_location} holds characters that no key has")
        return key

    @property
    def key_location(self) -> str:
        """Where the key is, for people; empty if none is needed."""
        if self.key_file:
            return f"the file {self.key_file}"
        return f"the environment variable {self.key_env}" if self.key_env else ""

    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        key = self.read_key()
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def full_url(self, path: str) -> str:
        """The full address of one of the API's routes."""
        return self.url.rstrip("/") + path

    def error_message(self, answer: bytes) -> str:
        """What an error's body says, in one short line, without the key, which some servers quote."""
        text = answer.decode(errors="replace")
        try:
            error = json.loads(text)["error"]
            text = f"{error['message']} {error.get('code') or ''}"
        except (ValueError, KeyError, TypeError):
            pass  # a proxy's page, say: then the text as it is
        key = self.read_key()
        return " ".join((text.replace(key, "***") if key else text).split())[:300]

    def permanent_error(self, status: int, answer: bytes) -> RequestError:
        """What an answer with a status from 400 to 499 says of the request."""
        message = self.error_message(answer)
        if _TOO_LONG.search(message):
            return RequestError("too_long", message)
        return RequestError("refused" if _FILTERED.search(message) else f"http_{status}", message)


def probe(endpoint: Endpoint, model: str, chat_body: Mapping[str, Any]) -> None:
    """Check that the endpoint is there, takes the key and knows the model. It blocks for seconds at most.

    The list of models tells; where it does not name this one, the cheap chat request `chat_body` decides.
    ConnectionError if nobody answers, ValueError if the endpoint refuses.
    """
    status, answer = _request_blocking(endpoint, "GET", "/models")
    served_models = _parse_model_ids(answer) if status == 200 else []
    if model in served_models:
        return
    if status not in (401, 403):
        status, answer = _request_blocking(endpoint, "POST", "/chat/completions", json.dumps(chat_body))
    if status in (401, 403):
        refused = (
            f"the key in {endpoint.key_location}"
            if endpoint.key_location
            else "requests without a key (option 'key_file')"
        )
        raise ValueError(f"{endpoint.url} refuses {refused}: HTTP {status}")
    if status == 404:
        known = f"; it serves {', '.join(served_models[:10])}" if served_models else ""
        raise ValueError(f"{endpoint.url} does not serve the model {model!r}: HTTP 404{known}")


def _read_key_file(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"the key file {path} can be read by others: chmod 600 it")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the key file {path} can not be read: {type(error).__name__}") from None


def _parse_model_ids(answer: bytes) -> list[str]:
    try:
        return [entry["id"] for entry in json.loads(answer)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _request_blocking(endpoint: Endpoint, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    parts = urlsplit(endpoint.full_url(path))
    connection_class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connection_class(parts.hostname or "", parts.port, timeout=PROBE_SECONDS)
    try:
        connection.request(method, parts.path, body, endpoint.headers())
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{endpoint.url} does not answer: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
