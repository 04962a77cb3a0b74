"""The HTTP engine: a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

from actors.engine import (
    EngineSpec,
    Feature,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
    check_features,
)
from actors.engines.http.client import HttpClient
from actors.engines.http.endpoint import HTTP_RETRIES, Endpoint, probe
from actors.engines.options import parse_options
from actors.engines.unsupported import UnsupportedEngine

CHARS_PER_TOKEN = 4  # an assumption for the rate limiter, which the answer's usage corrects


class HttpEngine(UnsupportedEngine):
    """A model that a server calls `spec.model`. The server sets revision, dtype and length; the spec's are ignored.

    Options: `url` is the API's address, like http://host:8000/v1. `key_file` is the path of the file that contains the
    API key (mode 0600, on every node that may run the engine), or `key_env` the name of an environment variable with
    the key. `in_flight`, `requests_per_minute` and `tokens_per_minute` (0: no limit) limit the load on the server.
    `retries` and `timeout` (seconds) apply to each request.

    The server tokenises. It decides whether content that spells control tokens is text. It may reject a prompt that
    leaves fewer than `max_tokens` tokens. It may count the end token in `tokens_out` unless log-probabilities are
    requested.
    """

    features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "schema"})

    def __init__(self, spec: EngineSpec) -> None:
        defaults = {
            "in_flight": 64,
            "requests_per_minute": 0,
            "tokens_per_minute": 0,
            "retries": HTTP_RETRIES,
            "timeout": 600.0,
        }
        options: dict[str, Any] = parse_options(spec, url="", key_file="", key_env="", **defaults)
        if not options["url"]:
            raise ValueError("engine 'http' needs the option 'url', the API's address, like http://host:8000/v1")
        self._model = spec.model
        endpoint = Endpoint(**options)
        minimal_request = {"model": spec.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        probe(endpoint, spec.model, minimal_request)
        self._client = HttpClient(endpoint, spec.model)

    @property
    def retry_count(self) -> int:
        """Number of requests that were sent again."""
        return self._client.retry_count

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The server rejects the request (`too_long`, `refused`, `http_400`...).
            EngineLost: The server does not answer, or rejects the API key.
        """
        check_features(self.features, request)
        tokens = sum(len(content) for _, content in request.messages) // CHARS_PER_TOKEN
        return await self._client.post(
            "/chat/completions", self._chat_body(request), tokens, lambda answer: parse_generation(request, answer)
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts with the route /completions and `echo`, as vLLM serves it. Raises the errors of `generate`."""
        if request.chat or request.bos != "auto":
            raise RequestError("unsupported", "an http model scores raw text only; its server sets the BOS token")
        pair, alone = await asyncio.gather(
            self._score(request.id, request.raw_before, request.context, request.text),
            self._score(request.id, "", "", request.alone),
        )
        return replace(pair, alone=alone.logprobs, lengths=(*pair.lengths[:2], alone.lengths[1]))

    async def _score(self, request_id: str, before: str, context: str, text: str) -> TokenLogprobs:
        prompt = before + context + text
        if not prompt:
            return TokenLogprobs(request_id, 0, ())
        body = {"model": self._model, "prompt": prompt, "echo": True, "max_tokens": 1, "logprobs": 1, "temperature": 0}
        return await self._client.post(
            "/completions",
            body,
            len(prompt) // CHARS_PER_TOKEN,
            lambda answer: parse_echoed_logprobs(request_id, before, context, text, answer),
        )

    def progress(self) -> int:
        """Return the time: each attempt has a timeout, so a server that does not answer must not count as a hang."""
        return int(time.monotonic() * 10)

    async def sleep(self) -> None:
        """Raise RequestError("unsupported"): the engine does not control the server's memory."""
        raise RequestError("unsupported", "an http model cannot be offloaded")

    async def wake(self) -> None:
        """Raise RequestError("unsupported")."""
        await self.sleep()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _chat_body(self, request: GenerateRequest) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % 2**63,
        }
        if request.logprobs:
            body["logprobs"] = True
        if request.schema is not None:
            schema = {"name": "reply", "schema": parse_schema(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def parse_schema(schema: str) -> Any:
    """Return the JSON Schema as data.

    Raises:
        RequestError: The schema is not valid JSON (reason "schema").
    """
    try:
        return json.loads(schema)
    except ValueError as error:
        raise RequestError("schema", f"the schema is not valid JSON: {error}") from None


def parse_generation(request: GenerateRequest, answer: dict[str, Any]) -> Generation:
    """Return the reply in a chat completion.

    Raises:
        RequestError: The server withholds the reply ("refused"), or it contains a lone surrogate, which JSON can
            express and UTF-8 cannot ("not_unicode").
    """
    choice, usage = answer["choices"][0], answer["usage"]
    message, reason = choice["message"], choice["finish_reason"]
    if reason == "content_filter" or message.get("refusal"):
        raise RequestError("refused", str(message.get("refusal") or "the server's content filter withholds the reply"))
    text = str(message["content"] or "")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("not_unicode", "the reply contains a lone surrogate") from None
    logprobs = parse_reply_logprobs(choice["logprobs"]["content"], text) if request.logprobs else None
    tokens_out = usage["completion_tokens"] if logprobs is None else len(logprobs)
    ended = "length" if reason == "length" else "stop"
    return Generation(request.id, text, ended, usage["prompt_tokens"], tokens_out, logprobs)


def parse_reply_logprobs(content: list[dict[str, Any]], text: str) -> tuple[float, ...]:
    """Return the log-probabilities of a reply's tokens, without the end token, which is not in the text."""
    ended = content and not text.endswith(content[-1]["token"])
    return tuple(float(entry["logprob"]) for entry in (content[:-1] if ended else content))


def parse_echoed_logprobs(
    request_id: str, before: str, context: str, text: str, answer: dict[str, Any]
) -> TokenLogprobs:
    """Return the log-probabilities of context and text from an echoed completion, without the generated token.

    The boundary is the number of tokens that start before the end of the context. Tokens that end within `before` are
    not scored. The echo contains a start token that is not in the prompt, which shifts all offsets.
    """
    context = before + context
    entries, count = answer["choices"][0]["logprobs"], answer["usage"]["prompt_tokens"]
    first = entries["tokens"][0]
    has_start_token = not (context + text).startswith(first)
    end = len(context) + len(first) * has_start_token
    boundary = sum(offset < end for offset in entries["text_offset"][:count]) if context else 0
    lengths = (max(0, boundary - has_start_token), count - max(boundary, has_start_token), 0)
    scored = TokenLogprobs(request_id, boundary, (None, *entries["token_logprobs"][1:count]), lengths=lengths)
    if not before:
        return scored
    end_before = len(before) + len(first) * has_start_token
    known = sum(offset <= end_before for offset in entries["text_offset"][1 : count + 1])
    return scored.without(TokenLogprobs(request_id, known, (), lengths=(max(0, known - has_start_token), 0, 0)))
