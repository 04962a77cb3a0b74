"""An OpenAI-compatible endpoint: its address, the headers of requests, its limits, and the messages in its errors."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from actors.engines.http.options import HTTP_RETRIES
from actors.engines.http.secrets import Secret, parse_values, value_of

JSON_TYPE = "application/json"
MAX_MESSAGE_CHARS = 300
_ROUTES = ("/chat/completions", "/completions", "/models")


@dataclass(frozen=True)
class Endpoint:
    """A model server: its address, the file or environment variable with its API key (if any), and its limits.

    Secrets are read each time they are needed and not stored in a field. `key_header` is the header of the key, if it
    is not sent as `Authorization: Bearer KEY`. `headers` and `query` are sent with every request (`parse_values` says
    in which form they are given). `ca_file` has the certificates of authorities that are trusted beside the system's.

    Raises:
        ValueError: The address is malformed, or the key is missing.
    """

    url: str
    key_file: str = ""
    key_env: str = ""
    key_header: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ca_file: str = ""
    in_flight: int = 64
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    retries: int = HTTP_RETRIES
    timeout: float = 600.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("engine 'http': option 'url' must be only the API's address, like http://host:8000/v1")
        if self.key_file and self.key_env:
            raise ValueError("engine 'http': options 'key_file' and 'key_env' are both set; set only one")
        if self.in_flight < 1:
            raise ValueError("engine 'http': option 'in_flight' must be at least 1")
        self.read_key()
        self.request_headers()
        self.full_url("")
        self.ssl_context  # noqa: B018 - reads the certificates, so that a wrong file is reported at load

    @cached_property
    def base(self) -> str:
        """The address without its query and without a pasted route: what the routes are appended to."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        for route in _ROUTES:
            path = path.removesuffix(route)
        return urlunsplit((parts.scheme, parts.netloc, path, "", ""))

    @property
    def key(self) -> Secret:
        """Where the API key is."""
        return Secret(self.key_file, self.key_env, "key_file" if self.key_file else "key_env")

    def read_key(self) -> str:
        """Return the key, empty if none is needed. Raises the errors of `Secret.read`."""
        return self.key.read()

    def request_headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        key, given = self.read_key(), parse_values("headers", self.headers)
        headers = {"Content-Type": JSON_TYPE}
        if key:
            headers |= {self.key_header: key} if self.key_header else {"Authorization": f"Bearer {key}"}
        return headers | {name: value_of(value) for name, value in given.items()}

    def full_url(self, path: str) -> str:
        """Return the full address of a route of the API, with the query."""
        in_url = parse_values("url", dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True)))
        query = {name: value_of(value) for name, value in (in_url | parse_values("query", self.query)).items()}
        return self.base + path + (f"?{urlencode(query)}" if query else "")

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The certificates to trust, None for an address without TLS.

        Raises:
            ValueError: `ca_file` cannot be read.
        """
        if not self.url.startswith("https"):
            return None
        context = ssl.create_default_context()
        if self.ca_file:
            try:
                context.load_verify_locations(self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(f"cannot read certificates from the file {self.ca_file}: {error}") from None
        return context

    @property
    def proxy(self) -> str | None:
        """The proxy that the environment sets for this address (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), if any."""
        parts = urlsplit(self.url)
        proxies = getproxies()
        if proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        return proxies.get(parts.scheme) or proxies.get("all")

    def error_message(self, answer: bytes) -> str:
        """Return the message in an error's body as one short line, without secrets, which some servers quote."""
        text = answer.decode(errors="replace")
        with suppress(ValueError):  # for example a proxy's page: keep the whole text
            text = describe_error(json.loads(text)) or text
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return " ".join(text.split())[:MAX_MESSAGE_CHARS]

    def _secrets(self) -> list[str]:
        given = [*parse_values("headers", self.headers).values(), *parse_values("query", self.query).values()]
        return [found for each in (self.key, *given) if isinstance(each, Secret) and (found := each.read())]


def describe_error(body: Any) -> str:
    """Return the message and the code of an error, in any of the forms that servers use; empty if it has none."""
    if isinstance(body, str):
        with suppress(ValueError):  # some gateways quote another server's error
            return (describe_error(json.loads(body)) if body.startswith(("{", "[")) else "") or body
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, map(describe_error, cast("list[Any]", body))))
    if not isinstance(body, dict):
        return ""
    found = cast("dict[str, Any]", body)
    for key in ("error", "errors", "detail"):
        if found.get(key):
            return describe_error(found[key])
    message = found.get("message") or found.get("msg") or found.get("Message") or ""
    if isinstance(message, str):
        message = describe_error(message)
    if isinstance(found.get("loc"), list):  # of a list of validation errors
        message = f"{'.'.join(map(str, found['loc']))}: {message}"
    metadata = found.get("metadata")
    raw = cast("dict[str, Any]", metadata).get("raw") if isinstance(metadata, dict) else None
    return " ".join(str(part) for part in (message, found.get("code"), raw) if part)
