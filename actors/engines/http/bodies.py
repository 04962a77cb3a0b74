"""Bodies of requests, and the JSON in bodies of answers, whether sent at once or as server-sent events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from actors.engine import GenerateRequest, RequestError, Sampling

SEED_LIMIT = 2**31  # several servers take no larger seed
REASONING_EFFORT = "reasoning_effort"  # an argument of templates, and a parameter of many servers
CONTROL_TEXT = "Hi"
_COMMENTS = re.compile(r"^:.*$", re.MULTILINE)
PROBE_TOKENS = 64  # some models think before they reply, and some servers reject smaller numbers
PROBE_REQUEST = GenerateRequest("probe", (("user", CONTROL_TEXT),), Sampling(1.0, 1.0, PROBE_TOKENS), 1)


@dataclass(frozen=True, slots=True)
class RequestBodies:
    """Makes the bodies of requests for one model.

    `max_tokens_name` is the name of the parameter that bounds the reply. The parameters in `drop` are not sent. `body`
    is merged into each body, mapping by mapping. `template` are the arguments of the server's chat template.
    """

    model: str
    max_tokens_name: str = "max_tokens"
    drop: Sequence[str] = ()
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    template: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def chat(self, request: GenerateRequest) -> dict[str, Any]:
        """Return the body of a request for one reply.

        Raises:
            RequestError: The request's schema is not valid JSON (reason "schema").
        """
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
            self.max_tokens_name: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % SEED_LIMIT,
        }
        if request.logprobs or request.top_logprobs:
            body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
        if request.schema is not None:
            schema = {"name": "reply", "schema": parse_schema(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return self._adapted(body)

    def echo(self, prompt: str) -> dict[str, Any]:
        """Return the body of a request for the log-probabilities of a text."""
        body = {"model": self.model, "prompt": prompt, "echo": True, "max_tokens": 1, "logprobs": 1, "temperature": 0}
        return {name: value for name, value in body.items() if name not in self.drop}

    def probe(self) -> dict[str, Any]:
        """Return the body of a small chat request with all parameters of others."""
        return self.chat(PROBE_REQUEST)

    def _adapted(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.template:  # as vLLM, SGLang and llama.cpp take them
            body |= {"chat_template_kwargs": dict(self.template)}
        if REASONING_EFFORT in self.template:
            body |= {REASONING_EFFORT: self.template[REASONING_EFFORT]}
        return _merged({name: value for name, value in body.items() if name not in self.drop}, self.body)


def control_messages() -> list[dict[str, str]]:
    """Return the messages of a request that any model answers."""
    return [{"role": "user", "content": CONTROL_TEXT}]


def parse_schema(schema: str) -> Any:
    """Return the JSON Schema as data.

    Raises:
        RequestError: The schema is not valid JSON (reason "schema").
    """
    try:
        return json.loads(schema)
    except ValueError as error:
        raise RequestError("schema", f"the schema is not valid JSON: {error}") from None


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in an answer's body. Server-sent events are put together, although nobody asked for them.

    Raises:
        ValueError: The body is something else.
    """
    try:
        text = body.decode().removeprefix("\ufeff").strip()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if text.startswith(":"):  # comments that keep the connection open
        text = _COMMENTS.sub("", text).strip()
    if text.startswith(("data:", "event:", "id:", "retry:")):
        return _merge_events(text)
    if text.startswith("<"):
        raise ValueError("it is a web page or XML")
    found = _parse_json(text)
    if isinstance(found, list) and len(found) == 1:  # pyright: ignore[reportUnknownArgumentType]
        found = found[0]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(found, dict):
        raise ValueError(f"a JSON {type(found).__name__} in place of an object")  # pyright: ignore[reportUnknownArgumentType]
    return cast("dict[str, Any]", found)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON" if text else "it is empty") from None


def _merge_events(text: str) -> dict[str, Any]:
    """Return a completion that is put together from its chunks."""
    merged: dict[str, Any] = {}
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {"message": message}
    for chunk in _chunks(text):
        merged |= {key: value for key, value in chunk.items() if value is not None and key != "choices"}
        for part in chunk.get("choices") or ():
            if part.get("index"):
                continue  # of another reply
            choice |= {"finish_reason": part["finish_reason"]} if part.get("finish_reason") else {}
            if part.get("logprobs"):
                choice.setdefault("logprobs", {"content": []})["content"] += part["logprobs"].get("content") or []
            _append_delta(message, part.get("delta") or part.get("message") or {})
            merged["choices"] = [choice]
    return merged


def _chunks(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        name, _, data = line.partition(":")
        if name.strip() == "data" and data.strip() not in ("", "[DONE]"):
            yield json.loads(data)


def _append_delta(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for key, value in delta.items():
        appended = isinstance(value, str | list) and key != "role"
        message[key] = message[key] + value if appended and message.get(key) else value if value else message.get(key)


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in more.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # pyright: ignore
    return result
