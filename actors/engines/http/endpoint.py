"""An OpenAI-compatible endpoint: its address, API key, errors and availability."""

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
HTTP_RETRIES = 6  # of a request, unless the option sets another number
_TOO_LONG = re.compile(r"context.length|context.window|max_model_len|maximum.*(length|tokens)|too long", re.IGNORECASE)
_FILTERED = re.compile(r"content.filter|content.policy|content management", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model server: its address, the file or environment variable with its API key (if any), and its limits.

    The key is read each time it is needed and not stored in a field.

    Raises:
        ValueError: The address is malformed, or the key is missing.
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
            raise ValueError("engine 'http': option 'url' must be only the API's address, like http://host:8000/v1")
        if self.key_file and self.key_env:
            raise ValueError("engine 'http': options 'key_file' and 'key_env' are both set; set only one")
        if self.in_flight < 1:
            raise ValueError("engine 'http': option 'in_flight' must be at least 1")
        self.read_key()

    def read_key(self) -> str:
        """Return the key, empty if none is needed.

        Raises:
            ValueError: The key is missing or malformed. The message names the file or variable, never its content.
        """
        if not self.key_location:
            return ""
        key = _read_key_file(Path(self.key_file)) if self.key_file else os.environ.get(self.key_env, "").strip()
        if not key:
            option, what = ("key_file", "is empty") if self.key_file else ("key_env", "is not set")
            raise ValueError(f"{self.key_location}, which option '{option}' names, {what}")
        if not (key.isascii() and key.isprintable()):  # otherwise the HTTP library's error would quote it
            raise ValueError(f"{self.key_location} contains characters that are not valid in an API key")
        return key

    @property
    def key_location(self) -> str:
        """A description of where the key is; empty if none is needed."""
        if self.key_file:
            return f"the file {self.key_file}"
        return f"the environment variable {self.key_env}" if self.key_env else ""

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        key = self.read_key()
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def full_url(self, path: str) -> str:
        """Return the full address of a route of the API."""
        return self.url.rstrip("/") + path

    def error_message(self, answer: bytes) -> str:
        """Return the message in an error's body as one short line, without the key, which some servers quote."""
        text = answer.decode(errors="replace")
        try:
            error = json.loads(text)["error"]
            text = f"{error['message']} {error.get('code') or ''}"
        except (ValueError, KeyError, TypeError):
            pass  # for example a proxy's page: keep the whole text
        key = self.read_key()
        return " ".join((text.replace(key, "***") if key else text).split())[:300]

    def permanent_error(self, status: int, answer: bytes) -> RequestError:
        """Return the error for an answer with a status from 400 to 499."""
        message = self.error_message(answer)
        if _TOO_LONG.search(message):
            return RequestError("too_long", message)
        return RequestError("refused" if _FILTERED.search(message) else f"http_{status}", message)


def probe(endpoint: Endpoint, model: str, chat_body: Mapping[str, Any]) -> None:
    """Check that the endpoint answers, accepts the key and serves the model. Blocks for a few seconds at most.

    If the endpoint's list of models does not contain the model, send the small chat request `chat_body`.

    Raises:
        ConnectionError: The endpoint does not answer.
        ValueError: The endpoint rejects the key, or does not serve the model.
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
        raise ValueError(f"{endpoint.url} rejects {refused}: HTTP {status}")
    if status == 404:
        known = f"; it serves {', '.join(served_models[:10])}" if served_models else ""
        raise ValueError(f"{endpoint.url} does not serve the model {model!r}: HTTP 404{known}")


def _read_key_file(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"the key file {path} is readable by other users: run 'chmod 600' on it")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the key file {path}: {type(error).__name__}") from None


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
