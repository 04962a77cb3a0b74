"""A lightweight OpenAI-compatible endpoint for tests and benchmarks.

Start it with `python -m benchmarks.support.stub_endpoint --port 8000`.

Replies are a function of the request. A token is a word with the spaces before it. HTTP is parsed by hand to use little
CPU time, which the measured program needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import time
import zlib
from dataclasses import dataclass
from typing import Any

_WORDS = "water stone light river garden market winter music number letter care noon order limit reader sky".split()
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TOKEN = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Faults:
    """Injected faults: every n-th request fails or is disconnected, and a limit of requests per second (0: none)."""

    fail_every: int = 0
    drop_every: int = 0
    rate_limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """The served model: its name, latency in seconds, context length in tokens, and the API key that it requires.

    Prompts that contain `refuse` are rejected by a content filter.
    """

    name: str = "stub"
    latency: float = 0.0
    max_length: int = 2048
    key: str = ""
    refuse: str = ""


class HttpRefusal(Exception):
    """A request that is answered with an HTTP error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(status, message, code)
        self.status, self.message, self.code = status, message, code


class Endpoint:
    """The state that all connections share: the model and the injected faults."""

    def __init__(self, model: Model, faults: Faults) -> None:
        self.model, self.faults = model, faults
        self._posts = 0
        self._second, self._passed = 0.0, 0

    def answer(self, head: bytes, body: bytes) -> tuple[int, Any, str]:
        """Return status, JSON value and further headers of the reply. Status 0 closes the connection."""
        if self.model.key and f"Bearer {self.model.key}".encode() not in head:
            return 401, _error(f"the key is wrong, not {self.model.key}"), ""
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            models = {"object": "list", "data": [{"id": self.model.name, "object": "model"}]}
            return (200, models, "") if path == b"/v1/models" else (404, _error("no such route"), "")
        if fault := self._fault():
            return fault
        reply = {b"/v1/chat/completions": chat, b"/v1/completions": complete}.get(path)
        try:
            if reply is None:
                raise HttpRefusal(404, "no such route")
            request = json.loads(body)
            if request["model"] != self.model.name:
                raise HttpRefusal(404, f"the model {request['model']} does not exist")
            return 200, reply(self.model, request), ""
        except HttpRefusal as refusal:
            return refusal.status, _error(refusal.message, refusal.code), ""

    def _fault(self) -> tuple[int, Any, str] | None:
        self._posts += 1
        if self.faults.drop_every and self._posts % self.faults.drop_every == 0:
            return 0, None, ""
        if self.faults.fail_every and self._posts % self.faults.fail_every == 0:
            return 503, _error("overloaded"), ""
        if self.faults.rate_limit:
            now = time.monotonic()
            if now - self._second >= 1:
                self._second, self._passed = now, 0
            self._passed += 1
            if self._passed > self.faults.rate_limit:
                wait = math.ceil((self._second + 1 - now) * 10) / 10
                return 429, _error("too many requests"), f"Retry-After: {wait}\r\n"
        return None


def chat(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion of 4 to 19 words, a function of the messages and, above temperature 0, of the seed."""
    prompt = "\n".join(message["content"] for message in request["messages"])
    tokens_in = _fits(model, prompt)
    if model.refuse and model.refuse in prompt:
        raise HttpRefusal(400, "the prompt was filtered", "content_filter")
    seed = f"{request.get('seed')} {request.get('temperature')}" if request.get("temperature", 1) > 0 else ""
    draw = zlib.crc32(f"{prompt}\n{seed}".encode())
    words = [_WORDS[(draw >> i) % 16] for i in range(4 + draw % 16)]
    kept = words[: request["max_tokens"]]
    text = " ".join(kept)
    if "response_format" in request:
        properties = request["response_format"]["json_schema"]["schema"]["properties"]
        text = json.dumps(dict.fromkeys(properties, text))
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop" if len(kept) == len(words) else "length",
    }
    if request.get("logprobs"):
        others = [{"token": word, "logprob": -20.0} for word in _WORDS[1 : request.get("top_logprobs", 0)]]
        content: list[dict[str, Any]] = [
            _entry(token) | {"top_logprobs": [_entry(token), *others] if others else []}
            for token in _TOKEN.findall(text)
        ]
        # as in vLLM, the end token has a log-probability although it is not in the text
        end = [{"token": "<|end|>", "logprob": -0.5}] if choice["finish_reason"] == "stop" else []
        choice["logprobs"] = {"content": content + end}
    return {"object": "chat.completion", "choices": [choice], "usage": _usage(tokens_in, len(kept))}


def _entry(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": _logprob(token)}


def complete(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Return a completion with the log-probabilities of a start token, the prompt and one new word."""
    prompt = request["prompt"]
    tokens_in = _fits(model, prompt) + 1
    tokens = ["<|start|>", *_TOKEN.findall(prompt), " water"]
    offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
    values = [None, *map(_logprob, tokens[1:])]
    logprobs = {"tokens": tokens, "text_offset": offsets, "token_logprobs": values}
    choice = {"index": 0, "text": f"{prompt} water", "finish_reason": "length", "logprobs": logprobs}
    return {"object": "text_completion", "choices": [choice], "usage": _usage(tokens_in, 1)}


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request after the latency."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            head, body, self._buffer = self._buffer[:end], self._buffer[end + 4 : total], self._buffer[total:]
            asyncio.get_running_loop().call_later(self._endpoint.model.latency, self._answer, head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        status, value, headers = self._endpoint.answer(head, body)
        if status == 0 or self._transport.is_closing():
            self._transport.abort()
            return
        payload = json.dumps(value).encode()
        start = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{start}{headers}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)


async def serve(model: Model, faults: Faults, port: int) -> None:
    """Serve on localhost until cancelled. Print `listening PORT` when ready. Port 0 selects a free port."""
    endpoint = Endpoint(model, faults)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(endpoint), "127.0.0.1", port)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="stub")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per request")
    parser.add_argument("--max-length", type=int, default=2048, help="context length in words")
    parser.add_argument("--key", default="", help="reject requests without this API key")
    parser.add_argument("--refuse", default="", help="reject prompts that contain this text")
    parser.add_argument("--fail-every", type=int, default=0, help="answer each n-th POST with 503")
    parser.add_argument("--drop-every", type=int, default=0, help="close the connection of each n-th POST")
    parser.add_argument("--rate-limit", type=float, default=0.0, help="POSTs per second; answer further ones with 429")
    given = parser.parse_args()
    model = Model(given.model, given.latency, given.max_length, given.key, given.refuse)
    asyncio.run(serve(model, Faults(given.fail_every, given.drop_every, given.rate_limit), given.port))


def _fits(model: Model, prompt: str) -> int:
    tokens = len(prompt.split())
    if tokens >= model.max_length:
        message = f"This model's maximum context length is {model.max_length} tokens, the prompt has {tokens}"
        raise HttpRefusal(400, message, "context_length_exceeded")
    return tokens


def _logprob(token: str) -> float:
    return -0.1 - zlib.crc32(token.encode()) % 1000 / 300


def _usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _error(message: str, code: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "code": code}}


if __name__ == "__main__":
    main()
